"""What ffmpeg is told to read: a URL whose secrets no other user of the machine may see, or a file.

Every user can list the arguments of a process. So a URL that may hold a secret goes to ffmpeg
through its standard input, as a list of one file in the ffconcat format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from edge.urls import DOTTED, without_secrets

# What a stream may be made of: every protocol of a network, and no file of this machine.
NETWORK = (
    "pipe,http,https,httpproxy,tls,tcp,udp,udplite,rtp,srtp,rtmp,rtmps,rtmpt,rtmpts,rtmpe,rtmpte,"
    "mmsh,mmst,ftp,sftp,srt,rist,gopher,gophers,hls,crypto,data,async,cache"
)
HIDDEN = "***"


@dataclass(frozen=True)
class Input:
    """The arguments up to the input, and what is written to standard input."""

    arguments: list[str]
    script: bytes = b""
    traced: bool = False  # whether the duration must be read from ffmpeg's trace


@dataclass(frozen=True)
class Url:
    """The parts of a URL."""

    scheme: str
    user: str  # "user:password", empty if there is none
    rest: str  # from the host on, with the query

    @property
    def query(self) -> str:
        return self.rest.partition("?")[2]

    def quoted(self) -> str:
        """Return the URL with what would end the user in the middle written as %40 and so on."""
        user = quote(self.user, safe=":%!$&'()*+,;=-._~") + "@" if self.user else ""
        return f"{self.scheme}://{user}{self.rest}"


def parse_url(text: str) -> Url:
    """Return the parts of the URL `text`.

    A password may hold "@" and "/": the user ends at the last "@" before the query, unless there
    is a whole host before the first "/".
    """
    scheme, _, rest = text.partition("://")
    before, mark, query = rest.partition("?")
    host = re.split(r"[/#]", before, maxsplit=1)[0]
    if "@" not in before or DOTTED.fullmatch(host):  # https://example.org/@channel
        return Url(scheme, "", rest)
    user, _, after = before.rpartition("@")
    return Url(scheme, user, after + mark + query)


def redacted(text: str, what: str) -> str:
    """Return `text`, a message about the URL `what`, without the secrets of any URL.

    ffmpeg repeats parts of a URL too, such as what it takes for the host.
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
    """Return how ffmpeg is given the URL `what` with `options` of its protocol."""
    url = parse_url(what)
    if not url.user and not url.query and without_secrets(what) == what:
        return Input([*(part for key in options for part in (f"-{key}", options[key])), "-i", what])
    address = url.quoted().replace("'", "'\\''").replace("\n", "%0A")
    lines = ["ffconcat version 1.0", f"file '{address}'"]
    lines += [f"option {key} {value}" for key, value in options.items()]
    arguments = ["-f", "concat", "-safe", "0", "-protocol_whitelist", NETWORK, "-i", "pipe:0"]
    return Input(arguments, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"), True)


def file_input(what: str) -> Input:
    """Return how ffmpeg is given the file `what`.

    A file may be a playlist of URLs: what is no URL must not reach the network. And without
    "file:", `a:b.mp4` would be of a protocol `a`.
    """
    return Input(["-protocol_whitelist", "file", "-i", f"file:{what}"])


def rtsp_options(what: str) -> list[dict[str, str]]:
    """Return what is tried in turn to open `what`: TCP before UDP, and audio before all media.

    RTSP over UDP loses packets on many networks and passes no firewall, and video is most of what
    a camera sends.
    """
    if not re.match(r"rtsps?://", what, re.IGNORECASE):
        return [{}]
    audio = {"allowed_media_types": "audio"}
    return [
        {"rtsp_transport": "tcp", **audio},
        {"rtsp_transport": "udp", **audio},
        {"rtsp_transport": "tcp"},  # a camera may send both in one stream, which is a video's
    ]
