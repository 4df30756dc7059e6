"""What suppression costs a correlator: the same alerts without rules, and with thousands of silences.

    python -m bench.suppress

Prints processor time of each, the best of three interleaved rounds, and its ratio to none.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from config.catalogue import Catalogue
from config.settings import Correlate, Settings
from config.suppression import Flap, Inhibit, Silence
from correlator.domain import DomainCore
from detectors.alert import Alert
from streams.records.messages import ShardWatermark
from streams.records.stage import Record

T0 = 1_700_000_000_000
ALERTS, SERVICES, SILENCES, ROUNDS = 6_000, 500, 5_000, 3


def log() -> list[Record]:
    """Alerts of many services, five a second, each resolved after 20 s, with watermarks in between."""
    facts: list[tuple[int, Alert]] = []
    for i in range(ALERTS):
        at, name = T0 + 200 * i, f"s{i % SERVICES}/m{i % 7}"
        fired = Alert(
            id=str(i), version=1, state="firing", kind="metric", fingerprint=name, severity="info",
            service=f"s{i % SERVICES}", metric=f"m{i % 7}", started_at=at, detected_at=at, last_seen_at=at,
            resolved_at=None, summary="off",
        )  # fmt: skip
        end = at + 20_000
        over = msgspec.structs.replace(fired, version=2, state="resolved", resolved_at=end, last_seen_at=end)
        facts += [(at, fired), (end, over)]
    facts.sort(key=lambda fact: (fact[0], fact[1].version, fact[1].id))
    messages: list[Any] = []
    for n, (at, fact) in enumerate(facts):
        messages += [fact] if n % 50 else [fact, ShardWatermark(0, 1, at - 1)]
    messages.append(ShardWatermark(0, 1, facts[-1][0]))
    return [Record("a", 0, i, 0, None, msgspec.json.encode(m)) for i, m in enumerate(messages)]


def cases() -> dict[str, Correlate]:
    daily = {"from_": "2023-01-01T02:00", "rrule": "FREQ=DAILY", "duration": "1h", "zone": "Europe/Berlin"}

    def many(*matchers: str, **window: str) -> tuple[Silence, ...]:
        return tuple(
            Silence(name=str(n), matchers=tuple(m.format(n) for m in matchers), **window)  # type: ignore[arg-type]
            for n in range(SILENCES)
        )

    related = Inhibit(name="i", source=("metric=m0",), target=("metric!=m0",), equal=("service",))
    return {
        "nothing": Correlate(flap=Flap(enabled=False)),
        "flap (default)": Correlate(),
        f"{SILENCES} silences that match nothing": Correlate(silences=many("severity=info", "service=x{}")),
        f"{SILENCES} that recur, for every alert one": Correlate(silences=many("service=s{}", **daily)),
        f"{SILENCES} that hold everything back": Correlate(silences=many("service=s{}")),
        "an inhibition": Correlate(inhibit=(related,)),
    }


def main() -> None:
    records, best = log(), dict.fromkeys(cases(), float("inf"))
    for _ in range(ROUNDS):
        for name, correlate in cases().items():
            core = DomainCore(Settings(correlate=correlate), Catalogue())
            began = time.process_time()
            core.process(records)
            best[name] = min(best[name], time.process_time() - began)
    for name, seconds in best.items():
        print(f"{name:40} {1e6 * seconds / len(records):6.0f} us a fact  x{seconds / best['nothing']:.2f}")


if __name__ == "__main__":
    main()
