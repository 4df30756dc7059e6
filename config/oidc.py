"""Login by OpenID Connect: the provider, and how what it says becomes a role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from config import tls
from config.response import Problem
from config.secrets import Secret

Role = Literal["viewer", "responder", "manager", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "responder", "manager", "admin")
"""in rising order: each may do what those before it may"""


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A provider: Keycloak, Entra ID, Okta, Google, Dex, ... Registered there: public_url/login/callback."""

    issuer: str
    """https://login.example/realms/ops; what stands before /.well-known/openid-configuration"""
    client_id: str
    client_secret: Secret = Secret()
    """none: a public client, by PKCE alone"""
    title: str = "single sign-on"
    """on the button: Log in with TITLE"""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    """who it is in the audit; where it is missing, `sub`"""
    role_claim: str = "groups"
    """a text or a list; dots lead into objects (realm_access.roles); asked of userinfo if not in the token"""
    roles: dict[str, Role] = {}
    """value of `role_claim` -> role; of several the highest"""
    default_role: Role | Literal[""] = ""
    """of whoever has none of `roles`; empty: they are not let in"""
    domains_claim: str = ""
    """a text or a list of correlation domains they may see; empty: all; without the claim: not let in"""
    ca_file: str = ""
    """PEM; empty: the system's authorities"""
    timeout_s: Annotated[float, Meta(gt=0)] = 10.0

    @property
    def cert_file(self) -> str:
        return ""

    @property
    def key_file(self) -> str:
        return ""


def problems(oidc: Oidc, public_url: str) -> Iterator[Problem]:
    """Key, value and expectation of whatever cannot be."""
    key = "console.access.oidc"
    url = urlsplit(oidc.issuer)
    local = url.hostname in ("127.0.0.1", "::1", "localhost")
    if (
        not url.netloc
        or url.query
        or url.fragment
        or url.scheme not in (("http", "https") if local else ("https",))
    ):
        yield Problem(f"{key}.issuer", oidc.issuer, "https://HOST/PATH (http only on this machine)")
    if not oidc.client_id:
        yield Problem(f"{key}.client_id", "", "the id that the provider gave this console")
    if not public_url:
        yield Problem(
            "console.public_url",
            "",
            f"the console's address as browsers see it, because {key} sends them back there",
        )
    if "openid" not in oidc.scopes:
        yield Problem(f"{key}.scopes", list(oidc.scopes), "openid among them")
    if not oidc.roles and not oidc.default_role:
        yield Problem(
            f"{key}.roles", {}, "at least one value of the role claim, or default_role: nobody could log in"
        )
    yield from tls.problems(key, oidc)
