"""What the setting `serve` says: where the page is."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from edge.errors import ConfigError

DEFAULT = "127.0.0.1:8642"
FORM = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.%\w]+\]|[\w.-]+):)?(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str  # a name or an IP address, without brackets
    port: int  # 0 is any that is free

    @property
    def local(self) -> bool:
        """Whether nobody but this machine reaches it."""
        return is_local(self.host)


def address_of(setting: str) -> Address:
    """`setting` is HOST:PORT, or PORT alone, which listens on 127.0.0.1; IPv6 is [::1]:8642.

    Raises: ConfigError.
    """
    found = FORM.fullmatch(setting)
    if found is None or int(found["port"]) > 65_535:
        raise ConfigError(f"serve: {setting!r} is not HOST:PORT, such as {DEFAULT}")
    return Address((found["host"] or "127.0.0.1").strip("[]"), int(found["port"]))


def is_local(host: str) -> bool:
    """Whether `host`, a name or an IP address, is this machine for itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_ip(host: str) -> bool:
    """Whether `host` is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def with_port(host: str, port: int) -> str:
    """As in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
