"""The console: where it listens, who may do what there."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Role = Literal["viewer", "responder", "manager", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "responder", "manager", "admin")
"""in rising order: each may do what those before it may"""


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A saved view of the list that everybody has."""

    name: str
    query: str
    """as in the address: severity=critical&team=payments"""


class Console(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`tocsin console`."""

    listen: str = "127.0.0.1:8088"
    """HOST:PORT; other than loopback only with `access`"""
    public_url: str = ""
    """its address as browsers see it, https://tocsin.example; empty: as it listens"""
    workers: tuple[str, ...] = ("127.0.0.1:8390",)
    """health ports of workers, for the page of the pipeline"""
    views: tuple[View, ...] = ()
    max_incidents: Annotated[int, Meta(ge=100)] = 20_000
    """kept in memory; of more, the oldest that are over are left to ClickHouse"""
    act_timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    """how long an action waits for its answer"""
