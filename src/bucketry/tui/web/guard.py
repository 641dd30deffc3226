"""Who may come in to the screens that a browser shows.

Whoever drives them acts as the user who serves them. Even on the loopback interface that could be any other user of
the machine, and any page that a browser here has open. So each request must

- name a random token in its path: the address that only the terminal shows;
- be sent to this server by a name that is its own. A page elsewhere may bind its own name to our address ("DNS
  rebinding"), and then reads what we answer; it cannot make the browser say another name;
- come from our own page, if it says from where it comes, which a websocket must.
"""

from __future__ import annotations

import re
import socket
from dataclasses import field
from hmac import compare_digest
from ipaddress import ip_address
from secrets import token_urlsafe
from urllib.parse import urlsplit

from bucketry.frozen import frozen

TOKEN_BYTES = 32
LOOPBACK_NAMES = frozenset({"localhost"})
HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")

WRONG_HOST = "This server has another name. Open the address that the terminal shows."
WRONG_TOKEN = "This address is not complete. Open the one that the terminal shows."  # noqa: S105 - what is said of one
WRONG_ORIGIN = "Another page asked for this. Open the address that the terminal shows."


def is_loopback(host: str) -> bool:
    """Return whether an address or name can be reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


@frozen
class AccessRequest:
    """What a request says of itself: its path, the server it is for, and the page it comes from, if it says so."""

    path: str
    hosts: tuple[str, ...]
    origins: tuple[str, ...] = ()
    is_websocket: bool = False


@frozen
class AccessGuard:
    """The door of a server that listens on `host`."""

    host: str
    token: str = field(default_factory=lambda: token_urlsafe(TOKEN_BYTES), repr=False)

    def why_not(self, knock: AccessRequest) -> str:
        """Return why a request is refused, or ""; how long that takes says nothing about the token."""
        if len(knock.hosts) != 1 or not self._is_own(knock.hosts[0]):
            return WRONG_HOST
        given = knock.path.removeprefix("/").partition("/")[0]
        if not compare_digest(given.encode(errors="replace"), self.token.encode()):
            return WRONG_TOKEN
        own = {f"http://{knock.hosts[0]}", f"https://{knock.hosts[0]}"}  # https: behind a proxy that ends the TLS
        if not own.issuperset(knock.origins) or (knock.is_websocket and not knock.origins):
            return WRONG_ORIGIN
        return ""

    def _is_own(self, host: str) -> bool:
        """Return whether a Host header names this server; the port may be another one, of a tunnel."""
        if not HOST.fullmatch(host):
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # between brackets is no address
            return False
        if name in LOOPBACK_NAMES or name == self.host.lower():
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return not is_loopback(self.host) and name == socket.gethostname().lower()
        # Who rebinds needs a name; an address cannot be bound to another one.
        return address.is_loopback or not is_loopback(self.host)
