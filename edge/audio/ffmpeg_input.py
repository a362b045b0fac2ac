"""Build the input arguments of ffmpeg for a URL or a file, without showing secrets in URLs.

Every user of the machine can list the arguments of a process. Therefore ffmpeg gets a URL that may
hold a secret through its standard input, as a list of one file in the ffconcat format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from edge.urls import DOTTED, without_secrets

# Protocols that a stream may use: every network protocol, but no access to files of this machine.
NETWORK = (
    "pipe,http,https,httpproxy,tls,tcp,udp,udplite,rtp,srtp,rtmp,rtmps,rtmpt,rtmpts,rtmpe,rtmpte,"
    "mmsh,mmst,ftp,sftp,srt,rist,gopher,gophers,hls,crypto,data,async,cache"
)
HIDDEN = "***"


@dataclass(frozen=True)
class Input:
    """An input of ffmpeg."""

    arguments: list[str]  # Command-line arguments up to and including the input.
    script: bytes = b""  # Bytes for the standard input of ffmpeg.
    traced: bool = False  # True if the duration must be read from ffmpeg's trace messages.


@dataclass(frozen=True)
class Url:
    """The parts of a URL."""

    scheme: str
    user: str  # "user:password", or empty.
    rest: str  # Everything from the host on, including the query.

    @property
    def query(self) -> str:
        """The part after the first "?"; empty if there is none."""
        return self.rest.partition("?")[2]

    def quoted(self) -> str:
        """Return the URL, with the delimiters in its user part percent-encoded ("@" as %40)."""
        user = quote(self.user, safe=":%!$&'()*+,;=-._~") + "@" if self.user else ""
        return f"{self.scheme}://{user}{self.rest}"


def parse_url(text: str) -> Url:
    """Return the parts of the URL `text`.

    A password may contain "@" and "/". The user part therefore ends at the last "@" before the
    query. If a complete host precedes the first "/", there is no user part.
    """
    scheme, _, rest = text.partition("://")
    before, mark, query = rest.partition("?")
    host = re.split(r"[/#]", before, maxsplit=1)[0]
    if "@" not in before or DOTTED.fullmatch(host):  # For example https://example.org/@channel.
        return Url(scheme, "", rest)
    user, _, after = before.rpartition("@")
    return Url(scheme, user, after + mark + query)


def redacted(text: str, what: str) -> str:
    """Return `text`, a message about the URL `what`, without the secrets of any URL.

    ffmpeg also repeats parts of a URL, such as the part that it parses as the host.
    """
    text = without_secrets(text.replace(what, without_secrets(what)))
    url = parse_url(what)
    secrets = {url.query, *re.split(r"[&;]", url.query), *re.findall(r"=([^&;]+)", url.query)}
    secrets |= {url.user, *url.user.split(":", 1)}
    secrets |= {part for part in re.split(r"[:@/?#]", url.user) if len(part) > 2}
    secrets |= {unquote(secret) for secret in secrets} | {quote(secret) for secret in secrets}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def url_input(what: str, options: dict[str, str]) -> Input:
    """Return the ffmpeg input for the URL `what`, with `options` of its protocol."""
    url = parse_url(what)
    if not url.user and not url.query and without_secrets(what) == what:
        return Input([*(part for key in options for part in (f"-{key}", options[key])), "-i", what])
    address = url.quoted().replace("'", "'\\''").replace("\n", "%0A")
    lines = ["ffconcat version 1.0", f"file '{address}'"]
    lines += [f"option {key} {value}" for key, value in options.items()]
    arguments = ["-f", "concat", "-safe", "0", "-protocol_whitelist", NETWORK, "-i", "pipe:0"]
    return Input(arguments, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"), True)


def file_input(what: str) -> Input:
    """Return the ffmpeg input for the file at path `what`.

    The whitelist of protocols keeps a playlist file from opening URLs on the network. Without the
    prefix "file:", ffmpeg would read `a:b.mp4` as a URL of the protocol `a`.
    """
    return Input(["-protocol_whitelist", "file", "-i", f"file:{what}"])


def rtsp_options(what: str) -> list[dict[str, str]]:
    """Return the sets of protocol options to try in order when `what` is opened.

    TCP comes before UDP, because RTSP over UDP loses packets on many networks and passes no
    firewall. Audio alone comes before all media, because most of a camera's data is video.
    """
    if not re.match(r"rtsps?://", what, re.IGNORECASE):
        return [{}]
    audio = {"allowed_media_types": "audio"}
    return [
        {"rtsp_transport": "tcp", **audio},
        {"rtsp_transport": "udp", **audio},
        # A camera may send audio and video in one stream that is declared as video.
        {"rtsp_transport": "tcp"},
    ]
