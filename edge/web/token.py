"""The token that lets a browser on another machine in: a file that its owner alone can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from pathlib import Path

from edge.errors import OutputError
from edge.paths import expand_user
from edge.web.address import Address, with_port

BYTES = 24  # of chance


def token_path() -> Path:
    """Where it is kept: in the state folder of the service, else of the user.

    Raises: ConfigError if the user has no home folder.
    """
    service = os.environ.get("STATE_DIRECTORY", "").split(":")[0]  # by systemd
    if service:
        return Path(service) / "token"
    state = os.environ.get("XDG_STATE_HOME") or expand_user("serve", "~/.local/state")
    return Path(state) / "aac-stream" / "token"


def load_token(path: Path) -> tuple[str, bool]:
    """The token in `path`, and whether it was made just now, for there was none.

    Raises: OutputError if it can be neither read nor made, or others may read it.
    """
    try:
        return _read(path), False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _failed(path, error) from None
    token = secrets.token_urlsafe(BYTES)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
    except OSError as error:
        raise _failed(path, error) from None
    return token, True


def _read(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        # Windows keeps the files of a user from others, and has no such bits.
        if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
            raise OutputError(
                f"{path}: others may read the token; delete it, and a new one is made"
            )
        token = file.read(1000).strip()
    if len(token) < BYTES or not token.isascii():
        raise OutputError(f"{path}: holds no token; delete it, and a new one is made")
    return token


def _failed(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: the page's token cannot be kept there ({error.strerror})")


def show_link(address: Address, token: str) -> None:
    """The link that lets in, and its QR code, for the terminal; in a log it would be no secret."""
    import segno

    link = f"http://{with_port(_reached_as(address.host), address.port)}/?token={token}"
    with contextlib.suppress(UnicodeEncodeError):  # a terminal that has no blocks has the link
        segno.make(link, error="l").terminal(out=sys.stderr, compact=True)
    print(link, file=sys.stderr, flush=True)


def _reached_as(host: str) -> str:
    """What others call `host`: where it is every address of this machine, the one to the net."""
    if host not in ("0.0.0.0", "::"):
        return host
    family, to = (
        (socket.AF_INET, "192.0.2.1") if host == "0.0.0.0" else (socket.AF_INET6, "2001:db8::1")
    )
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((to, 9))  # sends nothing: it asks the routing table
        return str(probe.getsockname()[0])
    return socket.gethostname()
