"""URLs as messages, labels and logs may show them: without what may be a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A scheme of one letter is a drive of Windows. One slash is a typing error, or what `pathlib` makes
# of two.
URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>/+)(?P<rest>\S*)", re.IGNORECASE)
WHOLE_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Punctuation of the text around a URL.
TAIL = re.compile(r"(?:['\"][\])},;:.]*|[:;,.)>]+)$")
PLACE = re.compile(r"(?P<host>\[[\w:.%]+\]|[\w.-]+)(?P<port>:\d{1,5})?(?P<path>/.*)?", re.I)
DOTTED = re.compile(r"[\w-]+(?:\.[\w-]+)+")  # a host's name or address without a port
QUERY = re.compile(r"\?[\w.-]+=(?!\.\.\.)\S*")

# Some cameras and TV services want the user, the password or a token in the path.
PLAIN_PATH = re.compile(r"[\w./-]*", re.ASCII)
NAMES_A_SECRET = re.compile(r"pass|pwd|token|secret|auth|key|user|login|session", re.IGNORECASE)
USER_AND_PASSWORD = re.compile(r"/(live|movie|series)/[^/]+/[^/]+/|(/[^/]+){3}\.(ts|m3u8)$")
SHORTEST_TOKEN, LONGEST_WORD = 10, 19  # characters without a sign between them
SHORTEST_KEY = 16  # letters and digits of a part of the path, as in abcd-1234-efgh-5678


@dataclass(frozen=True)
class Place:
    """The parts of a URL that hold no secret."""

    scheme: str
    host: str  # "" if it cannot be told from a password
    port: str  # ":554" or ""
    path: str  # "/live", "/..." if it may hold a secret, or ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host or '...'}{self.port}{self.path}"


def is_url(text: str) -> bool:
    """Return True if `text` begins as a URL does: `rtsp://...`."""
    return WHOLE_URL.match(text) is not None


def place_of(url: str) -> Place:
    """Return the parts of `url` that may be shown.

    User and password end at the last "@" before the query, for passwords hold "@" and "/" too.
    Where it is unclear which part is a secret, none of these parts is returned.
    """
    scheme, _, rest = url.partition("://")
    before = re.split(r"[?#]", rest, maxsplit=1)[0]
    after = rest[len(before) :]
    authority = before.split("/")[0]
    sure = "@" not in after
    if "@" in before and DOTTED.fullmatch(authority):  # https://example.org/@channel
        before, sure = authority, False
    elif "@" in before:
        before = before.rpartition("@")[2] if sure else ""
    found = PLACE.fullmatch(before)
    if found is None:
        return Place(scheme, "", "", "")
    if not sure:  # the "port" may begin a password that holds a "?" and an "@"
        return Place(scheme, found["host"], "", "")
    return Place(scheme, found["host"], found["port"] or "", _shown_path(found["path"] or ""))


def without_secrets(text: str) -> str:
    """Return `text` with each URL in it reduced to scheme, host, port and a path without secrets.

    `text` may be any message, and hold several URLs.
    """
    return QUERY.sub("?...", URL.sub(_shown_url, text))


def _shown_url(found: re.Match[str]) -> str:
    scheme, rest = found["scheme"], found["rest"]
    if scheme.lower() == "file":
        return found[0]
    if len(found["slashes"]) == 1 and not re.search(r"[@=?]", rest):
        return found[0]
    tail = TAIL.search(rest)
    end = tail[0] if tail else ""
    return f"{place_of(f'{scheme}://{rest.removesuffix(end)}')}{end}"


def _shown_path(path: str) -> str:
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
