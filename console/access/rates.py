"""How often somebody may ask within a minute."""

from __future__ import annotations

import math
import time
from typing import Literal

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from config.console import Rate

Kind = Literal["reads", "actions", "logins"]


class Rates:
    """Counted in this process, by the machine's clock."""

    def __init__(self, rate: Rate) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._items: dict[Kind, RateLimitItemPerMinute] = {
            "reads": RateLimitItemPerMinute(rate.reads_per_minute),
            "actions": RateLimitItemPerMinute(rate.actions_per_minute),
            "logins": RateLimitItemPerMinute(rate.logins_per_minute),
        }

    def wait_s(self, kind: Kind, who: str) -> int:
        """Counts one request. 0: it may pass; else seconds until one may."""
        item = self._items[kind]
        return 0 if self._limiter.hit(item, kind, who) else self._until(kind, who)

    def full_s(self, kind: Kind, who: str) -> int:
        """As `wait_s`, and counts nothing."""
        item = self._items[kind]
        return 0 if self._limiter.test(item, kind, who) else self._until(kind, who)

    def _until(self, kind: Kind, who: str) -> int:
        reset = self._limiter.get_window_stats(self._items[kind], kind, who).reset_time
        return max(1, math.ceil(reset - time.time()))
