"""Who asks: name, role, and the domains they may see. Pure."""

from __future__ import annotations

import msgspec

from config.console import ROLES, Role


class Identity(msgspec.Struct, frozen=True):
    """Somebody, or a program."""

    name: str
    """as it stands in the audit"""
    role: Role
    domains: tuple[str, ...] = ()
    """correlation domains (tenants) they may see; none: all"""
    via: str = "local"
    """local (loopback without access control) | oidc | token"""

    def may(self, permission: str) -> bool:
        """Whether the role suffices. A permission nobody has heard of is nobody's."""
        least = PERMISSIONS.get(permission)
        return least is not None and ROLES.index(self.role) >= ROLES.index(least)

    def sees(self, domain: str) -> bool:
        return not self.domains or domain in self.domains


PERMISSIONS: dict[str, Role] = {
    "read": "viewer",
    "acknowledge": "responder",
    "assign": "responder",
    "mitigate": "responder",
    "resolve": "responder",
    "reopen": "responder",
    "note": "responder",
    "record": "responder",
    "report": "responder",
    "pause": "responder",
    "resume": "responder",
    "silence": "responder",
    "item": "responder",
    "close": "manager",
    "classify": "manager",
    "impact": "manager",
    "edit": "manager",
    "submit": "manager",
    "merge": "manager",
    "split": "manager",
    "undo": "manager",
    "review": "manager",
    "update": "manager",
    "problem": "manager",
    "reinject": "admin",
    "audit": "admin",
}
"""what may be done -> the least role"""
