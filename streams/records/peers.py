"""Whom an address names: `cart.shop.svc.cluster.local:8080` is probably the service `cart`."""

from __future__ import annotations

import re

_PORT = re.compile(r":\d+$")
_NUMBERS = re.compile(r"[\d.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*")
"""IPv4 and IPv6"""


def host_names(address: str) -> tuple[str, ...]:
    """Names a service at this address may have, itself first; none for a number or this machine itself."""
    host = _PORT.sub("", address.strip().rpartition("//")[2].partition("/")[0]).strip("[]").rstrip(".")
    if not host or _NUMBERS.fullmatch(host):
        return ()
    first = host.partition(".")[0]
    if first.lower() in ("localhost", ""):
        return ()
    names = (address, host) if first.isdigit() else (address, host, first)
    return tuple(dict.fromkeys(names))
