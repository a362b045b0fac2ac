"""The setting `serve`: the address of the page."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from edge.errors import ConfigError

DEFAULT = "127.0.0.1:8642"  # The example address in error messages.
FORM = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.%\w]+\]|[\w.-]+):)?(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Address:
    """An address to listen on."""

    host: str  # A host name or an IP address, without brackets.
    port: int  # A TCP port; 0 means any free port.

    @property
    def local(self) -> bool:
        """Return True if only this machine can reach the address."""
        return is_local(self.host)


def address_of(setting: str) -> Address:
    """Return the address in `setting`.

    Parameters
    ----------
    setting
        HOST:PORT, with brackets around an IPv6 address, such as [::1]:8642. PORT alone means
        127.0.0.1.

    Raises
    ------
    ConfigError
        If the setting has another form or the port is too large.
    """
    found = FORM.fullmatch(setting)
    if found is None or int(found["port"]) > 65_535:
        raise ConfigError(f"serve: {setting!r} is not HOST:PORT, such as {DEFAULT}")
    return Address((found["host"] or "127.0.0.1").strip("[]"), int(found["port"]))


def is_local(host: str) -> bool:
    """Return True if `host` is a loopback address or "localhost"."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_ip(host: str) -> bool:
    """Return True if `host` is an IP address and not a host name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def with_port(host: str, port: int) -> str:
    """Return HOST:PORT as in a URL, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
