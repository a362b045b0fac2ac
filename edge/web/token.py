"""The access token for browsers on other machines, in a file that only its owner can read."""

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

BYTES = 24  # Number of random bytes in a new token, and minimum length of a token in characters.


def token_path() -> Path:
    """Return the path of the token: in the service's state folder if it has one, else the user's.

    Raises
    ------
    ConfigError
        If the user has no home folder.
    """
    service = os.environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd sets this variable.
    if service:
        return Path(service) / "token"
    state = os.environ.get("XDG_STATE_HOME") or expand_user("serve", "~/.local/state")
    return Path(state) / "aac-stream" / "token"


def load_token(path: Path) -> tuple[str, bool]:
    """Read the token in `path`, or make one if the file does not exist.

    Returns
    -------
    tuple of str and bool
        The token, and True if it is new.

    Raises
    ------
    OutputError
        If the token can be neither read nor made, or other users may read it.
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
        # Windows has no permission bits and protects a user's files from other users.
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
    """Print the link with the token, and its QR code, to standard error.

    The link is not logged, because a log would expose the token.
    """
    import segno

    link = f"http://{with_port(_reached_as(address.host), address.port)}/?token={token}"
    with contextlib.suppress(UnicodeEncodeError):  # The terminal lacks block characters.
        segno.make(link, error="l").terminal(out=sys.stderr, compact=True)
    print(link, file=sys.stderr, flush=True)


def _reached_as(host: str) -> str:
    """Return the host under which other machines reach `host`.

    If `host` stands for all addresses of this machine, return the address of its default route, or
    the host name if there is none.
    """
    if host not in ("0.0.0.0", "::"):
        return host
    family, to = (
        (socket.AF_INET, "192.0.2.1") if host == "0.0.0.0" else (socket.AF_INET6, "2001:db8::1")
    )
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((to, 9))  # This sends no packet; it only queries the routing table.
        return str(probe.getsockname()[0])
    return socket.gethostname()
