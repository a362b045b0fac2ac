"""Remove possible secrets from URLs for messages, labels and logs."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The scheme has two letters or more, because one letter is a Windows drive. One slash is accepted,
# because `pathlib` reduces two slashes to one, and because users mistype URLs.
URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>/+)(?P<rest>\S*)", re.IGNORECASE)
WHOLE_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Punctuation after a URL that belongs to the text around it.
TAIL = re.compile(r"(?:['\"][\])},;:.]*|[:;,.)>]+)$")
PLACE = re.compile(r"(?P<host>\[[\w:.%]+\]|[\w.-]+)(?P<port>:\d{1,5})?(?P<path>/.*)?", re.I)
DOTTED = re.compile(r"[\w-]+(?:\.[\w-]+)+")  # Host name or IPv4 address without a port.
QUERY = re.compile(r"\?[\w.-]+=(?!\.\.\.)\S*")

# The next patterns find secrets in paths: some cameras and TV services expect the user, the
# password or a token there.
PLAIN_PATH = re.compile(r"[\w./-]*", re.ASCII)
NAMES_A_SECRET = re.compile(r"pass|pwd|token|secret|auth|key|user|login|session", re.IGNORECASE)
USER_AND_PASSWORD = re.compile(r"/(live|movie|series)/[^/]+/[^/]+/|(/[^/]+){3}\.(ts|m3u8)$")
# A run of letters and digits may be a token from SHORTEST_TOKEN characters on if it contains digits
# or mixed case, and in any case if it has more than LONGEST_WORD characters.
SHORTEST_TOKEN, LONGEST_WORD = 10, 19
# Letters and digits in one part of a path: this many may be a key, as in abcd-1234-efgh-5678.
SHORTEST_KEY = 16


@dataclass(frozen=True)
class Place:
    """The parts of a URL that hold no secret."""

    scheme: str
    host: str  # "" if it may be part of a password.
    port: str  # For example ":554"; "" if there is none, or it may be part of a password.
    path: str  # For example "/live"; "/..." if it may contain a secret; "" if there is none.

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host or '...'}{self.port}{self.path}"


def is_url(text: str) -> bool:
    """Return True if `text` begins like a URL, as in `rtsp://...`."""
    return WHOLE_URL.match(text) is not None


def place_of(url: str) -> Place:
    """Return the parts of `url` that may be shown.

    User and password end at the last "@" before the query, because passwords may contain "@" and
    "/". Parts that may be secrets are left out.
    """
    scheme, _, rest = url.partition("://")
    before = re.split(r"[?#]", rest, maxsplit=1)[0]
    after = rest[len(before) :]
    authority = before.split("/")[0]
    sure = "@" not in after
    if "@" in before and DOTTED.fullmatch(authority):  # For example https://example.org/@channel.
        before, sure = authority, False
    elif "@" in before:
        before = before.rpartition("@")[2] if sure else ""
    found = PLACE.fullmatch(before)
    if found is None:
        return Place(scheme, "", "", "")
    if not sure:  # A user or a password may hold a "?" too, so only what must be a host is one.
        host = found["host"]
        known = DOTTED.fullmatch(host) or host.startswith("[")
        return Place(scheme, host if known else "", "", "")
    return Place(scheme, found["host"], found["port"] or "", _redact_path(found["path"] or ""))


def without_secrets(text: str) -> str:
    """Return `text` with each URL reduced to scheme, host, port and a path without secrets.

    Parameters
    ----------
    text
        Any message, with any number of URLs.
    """
    return QUERY.sub("?...", URL.sub(_redact_url, text))


def _redact_url(found: re.Match[str]) -> str:
    scheme, rest = found["scheme"], found["rest"]
    if scheme.lower() == "file":
        return found[0]
    if len(found["slashes"]) == 1 and not re.search(r"[@=?]", rest):
        return found[0]
    tail = TAIL.search(rest)
    end = tail[0] if tail else ""
    return f"{place_of(f'{scheme}://{rest.removesuffix(end)}')}{end}"


def _redact_path(path: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path)
    keys = [re.sub(r"\W|_", "", part) for part in path.split("/")]
    secret = (
        PLAIN_PATH.fullmatch(path) is None
        or NAMES_A_SECRET.search(path)
        or USER_AND_PASSWORD.match(path)
        or any(_looks_like_token(word) for word in words)
        or any(len(key) >= SHORTEST_KEY and re.search(r"\d", key) for key in keys)
    )
    return "/..." if secret else path


def _looks_like_token(word: str) -> bool:
    if len(word) < SHORTEST_TOKEN:
        return False
    mixed = not word.isalpha() or not (word[1:].islower() or word.isupper())
    return mixed or len(word) > LONGEST_WORD
