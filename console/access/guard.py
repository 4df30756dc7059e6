"""The gate of every route: who asks, and may they."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from console.access.identity import Identity


def identity_of(request: Request) -> Identity:
    """Who asks. Raises 401 when that is not known."""
    known: Identity | None = getattr(request.state, "identity", None)
    if known is None:
        raise HTTPException(401, "log in first, or send a bearer token")
    return known


def needs(permission: str, *, everywhere: bool = False) -> Callable[[Request], Identity]:
    """A dependency that lets through whoever has the permission, and says who it is. Raises 401 and 403.

    `everywhere`: what is asked for has no domain, so it is for those who see all.
    """

    def check(request: Request) -> Identity:
        identity = identity_of(request)
        if not identity.may(permission):
            raise HTTPException(403, f"{identity.role} may not {permission}")
        if everywhere and identity.domains:
            raise HTTPException(403, "this is over all domains, and you may see some")
        return identity

    return check


Reads = Annotated[Identity, Depends(needs("read"))]
"""parameter of every route that only shows"""


def local_identity() -> Identity:
    """Who works on this machine, where there is no access control."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        name = os.environ.get("HOSTNAME", "somebody")
    return Identity(name, "admin", via="local")
