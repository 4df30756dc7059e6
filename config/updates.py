"""What employees and customers are told of incidents, and of which ones; see docs/reviews.md."""

from __future__ import annotations

from typing import Literal

import msgspec

AUDIENCES = ("employees", "customers")


class Audience(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    drafts: bool = True
    """whether drafts are made for it"""
    auto: bool = False
    """what says that it is over is sent once the verification window has passed, without a person"""


class Updates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    priority: Literal["", "P1", "P2", "P3", "P4"] = "P2"
    """drafts are made for incidents of this priority and above; empty: by severity alone"""
    severity: Literal["", "info", "warning", "error", "critical"] = ""
    """... and for those of this severity and above; empty: by priority alone"""
    templates: str = ""
    """folder with templates of one's own, from the settings file's folder; those left out are Tocsin's"""
    employees: Audience = Audience()
    customers: Audience = Audience()

    def of(self, audience: str) -> Audience:
        return self.employees if audience == "employees" else self.customers
