"""Bearer tokens of the settings: found by digest, in constant time."""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from config.console import Access, Token, expires_ms
from console.access.identity import Identity
from sinks.targets.secrets import read


class Known(msgspec.Struct, frozen=True):
    """A token of the settings."""

    digest: str
    """sha256, hexadecimal"""
    identity: Identity
    expires_at: int | None
    """ms UTC"""


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Tokens:
    """All of them. Those that stand in the environment or in files are read once, at the start."""

    def __init__(self, access: Access) -> None:
        """Raises `sinks.protocol.SinkMisconfigured` for one that is not there."""
        self._known = tuple(_known(token) for token in access.tokens)

    def holder(self, token: str, now_ms: int) -> Known | None:
        """Whose token this is; None: nobody's, or it has ended."""
        return self.by_digest(digest(token), now_ms)

    def by_digest(self, wanted: str, now_ms: int) -> Known | None:
        """As `holder`; every digest is compared, so that the time taken does not tell which is near."""
        found = None
        for known in self._known:
            if hmac.compare_digest(known.digest.encode(), wanted.encode()):
                found = known
        over = found is not None and found.expires_at is not None and now_ms >= found.expires_at
        return None if over else found


def _known(token: Token) -> Known:
    hashed = token.sha256 or digest(read(token.token, f"console.access.tokens: {token.name}"))
    identity = Identity(token.name, token.role, token.domains, via="token")
    return Known(hashed, identity, expires_ms(token))
