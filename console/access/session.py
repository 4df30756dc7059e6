"""Sessions: a signed cookie that says whose it is. The server keeps only which ended before their time."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec
from itsdangerous import BadSignature, URLSafeSerializer

from console.access.identity import Identity

REFRESH_MS = 30_000
"""a cookie older than this is written anew, so that `used_at` stays near the truth"""


class Session(msgspec.Struct, frozen=True):
    """What the cookie says."""

    id: str
    holder: str
    """sha256 of the token that opened it, or of the settings of the provider that vouched for `who`"""
    csrf: str
    started_at: int
    """ms UTC"""
    used_at: int
    who: Identity | None = None
    """as the provider said at the login; None: the holder of the token, as the settings say now"""


class Sessions:
    """`hours` after its start and `idle_minutes` after its last use a session is over."""

    def __init__(self, key: str, hours: float, idle_minutes: float, clock: Callable[[], int]) -> None:
        self._signer = URLSafeSerializer(key, salt="tocsin console session")
        self._longest = int(hours * 3_600_000)
        self._idle = int(idle_minutes * 60_000)
        self._clock = clock
        self._ended: dict[str, int] = {}
        """session -> when it would have been over"""

    def start(self, holder: str, who: Identity | None = None) -> Session:
        """A new one, with an id and a CSRF token that nobody has seen."""
        now = self._clock()
        return Session(secrets.token_urlsafe(16), holder, secrets.token_urlsafe(24), now, now, who)

    def write(self, session: Session) -> str:
        """The value of the cookie."""
        return str(self._signer.dumps(msgspec.to_builtins(session)))

    def read(self, cookie: str) -> Session | None:
        """None: forged, over, or ended."""
        try:
            session = msgspec.convert(self._signer.loads(cookie), Session)
        except (BadSignature, msgspec.ValidationError):
            return None
        now = self._clock()
        over = now >= session.started_at + self._longest or now >= session.used_at + self._idle
        return None if over or session.id in self._ended else session

    def renewed(self, session: Session) -> Session | None:
        """With the present as its last use; None: it was used a moment ago."""
        now = self._clock()
        return msgspec.structs.replace(session, used_at=now) if now - session.used_at >= REFRESH_MS else None

    def end(self, session: Session) -> None:
        """Its cookie is worth nothing from now on, in this process."""
        now = self._clock()
        self._ended = {one: until for one, until in self._ended.items() if until > now}
        self._ended[session.id] = session.started_at + self._longest
