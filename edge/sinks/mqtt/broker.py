"""The setting `mqtt`: the broker, the user name and the prefix of the topics."""

from __future__ import annotations

import os
import re
import socket
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge.errors import ConfigError

PORTS = {"mqtt": 1883, "mqtts": 8883}  # Default TCP port of each URL scheme.
HA_PREFIX = "homeassistant"  # The prefix of Home Assistant's own topics.
PASSWORD = "AAC_STREAM_MQTT_PASSWORD"  # Environment variable that may hold the password.


@dataclass(frozen=True)
class Broker:
    """An MQTT broker. `password_of` returns the password, which is not stored here."""

    host: str
    port: int
    tls: bool
    user: str | None
    prefix: str  # The common prefix of all topics.

    @property
    def name(self) -> str:
        """Return the URL for messages, without the user name."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def broker_of(url: str) -> Broker:
    """Return the broker at `url`.

    Parameters
    ----------
    url
        A URL such as mqtt://user@host:1883/prefix. User, port and prefix are optional.

    Raises
    ------
    ConfigError
        If the URL is not valid or holds a password. The message never shows a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.password is not None:
        raise ConfigError(
            "mqtt: the URL holds a password, which others can see; put it into a file that "
            f"mqtt_password_file names, or into the environment variable {PASSWORD}"
        )
    prefix = parts.path.strip("/") or default_prefix()
    shown = re.sub(r"//.*@", "//", url)
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"mqtt: {shown!r} is not a broker, as mqtt://user@host:1883/prefix")
    if any(c in prefix for c in "+#\0 ") or prefix.startswith("$"):
        raise ConfigError(f"mqtt: {prefix!r} cannot begin a topic; leave out + # $ and spaces")
    if prefix.split("/")[0] == HA_PREFIX:
        raise ConfigError(
            f"mqtt: {prefix!r} is where Home Assistant's own topics are; choose another prefix"
        )
    user = unquote(parts.username) if parts.username else None
    return Broker(
        parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts", user, prefix
    )


def default_prefix() -> str:
    """Return the default prefix of topics, which contains the host name of this machine."""
    return f"aac-stream/{slug(socket.gethostname())}"


def slug(text: str) -> str:
    """Return `text` with only characters valid in topics and identifiers.

    For example, "Küche 2" becomes "kuche_2".
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]+", "_", plain).strip("_")[-60:] or "device"


def password_of(file: str | None) -> str | None:
    """Return the password: the first line of `file`, or the environment variable `PASSWORD`.

    Parameters
    ----------
    file
        Path of the password file, if there is one. The environment variable is then ignored.

    Returns
    -------
    str or None
        The password; None if there is neither a file nor the environment variable.

    Raises
    ------
    ConfigError
        If the file cannot be read.
    """
    if file is None:
        return os.environ.get(PASSWORD)
    try:
        return Path(file).read_text(encoding="utf-8").split("\n")[0].rstrip("\r")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"mqtt_password_file: {file}: cannot be read ({reason})") from None
