"""Access control of the page: the checks of each request and the headers of each response."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge.web.address import Address, is_ip, is_local

YEAR_S = 365 * 24 * 3600  # Lifetime of the cookie in seconds.

# Content security policy: the browser loads and runs only our own files, even if a caption contains
# markup or the browser has a bug.
POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect", "manifest")),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "connection": "close",  # An open connection could start a request and never finish it.
}


@dataclass(frozen=True)
class Refusal:
    """The HTTP status and the one-line message for a refused request."""

    status: int
    why: str


@dataclass(frozen=True)
class Access:
    """The checks of requests to `address`, which must carry `token` if there is one."""

    address: Address
    token: str | None

    def refuses(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], given: str | None
    ) -> Refusal | None:
        """Return the refusal of a request, or None if the request is allowed.

        Parameters
        ----------
        headers
            Headers of the request, with names in lower case.
        cookies
            Cookies of the request.
        given
            The token in the URL of the request, if there is one.
        """
        host = headers.get("host", "")
        if not self._is_ours(host):
            return Refusal(403, "this is not the name of the machine that is asked")
        origin = headers.get("origin")
        if origin is not None and not _is_same(origin, host):
            return Refusal(403, "other pages may not read this one")
        if self.token is None:
            return None
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if any(self.is_token(one) for one in (cookies.get(self.cookie, ""), bearer, given or "")):
            return None
        return Refusal(401, "open the link with the token; whoever started aac-stream has it")

    def is_token(self, text: str) -> bool:
        """Return True if `text` is the token; compare in constant time against timing attacks."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    @property
    def cookie(self) -> str:
        """Return the name of the cookie, with the port, because browsers share cookies of ports."""
        return f"aac_stream_{self.address.port}"

    def set_cookie(self) -> str:
        """Return the Set-Cookie header that stores the token where no script can read it."""
        return f"{self.cookie}={self.token}; Max-Age={YEAR_S}; Path=/; HttpOnly; SameSite=Strict"

    def _is_ours(self, host: str) -> bool:
        """Return True if `host` is a name of this machine, or an IP address that may be used.

        This check prevents DNS rebinding: a foreign host name that resolves to this machine.
        """
        name = _name_of(host)
        if is_local(name):
            return True
        if self.address.local or not name:
            return False
        own = socket.gethostname().lower()
        ours = {self.address.host.lower(), own, f"{own}.local", own.split(".")[0]}
        return is_ip(name) or name in ours


def _name_of(host: str) -> str:
    """Return `host` without its port; "" if it is not valid."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
