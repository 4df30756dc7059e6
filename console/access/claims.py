"""What a provider says about somebody -> who that is here. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.oidc import ROLES, Oidc, Role
from console.access.identity import Identity

LONGEST = 200
MOST_BYTES = 2_000
"""of domains: they travel in the cookie, of which browsers keep 4 kB"""


class NotLetIn(Exception):
    """The provider knows them, and the settings give them nothing."""


def identity_from(claims: Mapping[str, Any], oidc: Oidc) -> Identity:
    """Raises `NotLetIn`, in words for the one who tried."""
    name = _name(claims, oidc)
    values = texts(find(claims, oidc.role_claim))
    found: list[Role] = [oidc.roles[value] for value in values if value in oidc.roles]
    role = max(found, key=ROLES.index) if found else oidc.default_role
    if not role:
        raise NotLetIn(f"{name} has none of the roles of this console (claim {oidc.role_claim})")
    domains: tuple[str, ...] = ()
    if oidc.domains_claim:
        domains = tuple(dict.fromkeys(texts(find(claims, oidc.domains_claim))))
        if not domains:  # () means all
            raise NotLetIn(f"{name} may see no domain (claim {oidc.domains_claim})")
        if len("".join(domains).encode()) > MOST_BYTES:
            raise NotLetIn(f"{name} has {len(domains)} domains, more than a cookie holds")
    return Identity(name, role, domains, via="oidc")


def find(claims: Mapping[str, Any], path: str) -> object:
    """The claim of that name; else, where dots lead into objects. None: there is none."""
    if path in claims:  # https://example.com/groups has dots and is one name
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def texts(value: object) -> list[str]:
    """Of a text or of a list of texts; whatever else is in it says nothing."""
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, str) and item and len(item) <= LONGEST]


def _name(claims: Mapping[str, Any], oidc: Oidc) -> str:
    claim = oidc.name_claim
    unproven = claim == "email" and claims.get("email_verified") is False  # anybody may have typed it
    for value in ("" if unproven else find(claims, claim), claims.get("sub")):
        name = "".join(char for char in str(value or "") if char.isprintable()).strip()[:LONGEST]
        if name:
            return name
    raise NotLetIn(f"the provider did not say who it is (claim {claim})")
