"""Methods of an address, for the Allow header of 405: the router names those of one route alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.routing import BaseRoute, Route

Mounted = Sequence[tuple[str, Iterable[BaseRoute]]]
"""prefix and the routes under it"""


def allowed(mounted: Mounted, path: str) -> str:
    """As in `Allow: GET, POST`; empty where nothing is.

    An address that is a route's word for word is that alone, as in OpenAPI: `/silences/preview` is no name.
    """
    exact: set[str] = set()
    found: set[str] = set()
    for prefix, routes in mounted:
        if not path.startswith(prefix):
            continue
        rest = path[len(prefix) :]
        for route in routes:
            if isinstance(route, Route) and route.path_regex.match(rest):
                found |= route.methods or set()
                exact |= (route.methods or set()) if route.path == rest else set()
    return ", ".join(sorted(exact or found))
