"""Where a request comes from: a page of ours, another site's, or a name that is not ours. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether the Host header, with or without a port, names this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_is_ours(host: str, public_url: str, *, open_to_all: bool) -> bool:
    """Without access control only loopback names are ours: others that lead here are DNS rebinding."""
    if open_to_all:
        return is_loopback(host)
    return not public_url or host.lower() == urlsplit(public_url).netloc.lower() or is_loopback(host)


def is_same_origin(headers: Mapping[str, str], scheme: str, public_url: str) -> bool:
    """Whether the browser says that a page of ours sent this. Absent headers say nothing: False."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "").lower()
    if not origin:
        return False
    ours = {f"{scheme}://{headers.get('host', '')}".lower()}
    if public_url:
        ours.add(public_url.rstrip("/").lower())
    return origin in ours


MOST_NEXT = 1_500
"""characters, escaped as in JSON: the path waits in a cookie, and browsers drop those above 4 kB"""


def safe_next(path: str) -> str:
    """A path of this site to go on to after login; whatever else was asked for becomes the list."""
    bad = not path.startswith("/") or path.startswith("//") or "\\" in path
    bad = bad or len(json.dumps(path)) > MOST_NEXT
    return "/incidents" if bad or any(ord(char) < 33 for char in path) else path
