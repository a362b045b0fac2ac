"""Who may read the page: the checks of every request, and the headers of every answer."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge.web.address import Address, is_ip, is_local

YEAR_S = 365 * 24 * 3600

# Whatever a caption or a browser's bug would do: nothing but our own files is loaded or run.
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
    "connection": "close",  # one that is kept open could begin a request and never end it
}


@dataclass(frozen=True)
class Refusal:
    """The status of an answer, and its one line."""

    status: int
    why: str


@dataclass(frozen=True)
class Access:
    """What is demanded of requests to `address`: `token`, if there is one."""

    address: Address
    token: str | None

    def refuses(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], given: str | None
    ) -> Refusal | None:
        """Why a request is not answered; None if it is. `given`: the token in its URL, if any."""
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
        """In a time that does not tell how much of it is right."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    @property
    def cookie(self) -> str:
        """Its name; with the port, since browsers do not tell those apart."""
        return f"aac_stream_{self.address.port}"

    def set_cookie(self) -> str:
        """The header that has a browser keep the token, out of reach of any script."""
        return f"{self.cookie}={self.token}; Max-Age={YEAR_S}; Path=/; HttpOnly; SameSite=Strict"

    def _is_ours(self, host: str) -> bool:
        """Whether `host` cannot be a name that another's server had point here (DNS rebinding)."""
        name = _name_of(host)
        if is_local(name):
            return True
        if self.address.local or not name:
            return False
        own = socket.gethostname().lower()
        ours = {self.address.host.lower(), own, f"{own}.local", own.split(".")[0]}
        return is_ip(name) or name in ours


def _name_of(host: str) -> str:
    """`host` without its port; empty if it is none."""
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
