"""A run is made of numbered chunks; seed, format and number are all it takes to make one again."""

from __future__ import annotations

import faulthandler
import hashlib
import random
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from tests.fuzz.feed import Case, Feeder
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds

SIZE = 250
"""records a chunk"""
TIME_LIMIT_S = 10
"""of CPU for one chunk, which takes about 0.1"""
MINIMISE_S = 20


class TooSlow(BaseException):
    """A chunk did not end. No `Exception`, so that no decoder can swallow it."""


class Failure(NamedTuple):
    """What went wrong, and where the smallest record that shows it was saved."""

    format: str
    chunk: int
    kind: str
    text: str
    saved: str


def cases(wire_format: str, seed: int, number: int) -> list[Case]:
    """The records of one chunk."""
    found = seeds()
    others = tuple(each for records in found.values() for each in records)
    dice = random.Random(f"{seed}/{wire_format}/{number}")
    return [mutated(dice, found[wire_format], others) for _ in range(SIZE)]


def warm_up(wire_format: str) -> None:
    """Read the golden records once, so that what is compiled on first use is."""
    found = seeds()[wire_format]
    golden = [(seed.raw if seed.wrap is None else seed.wrap.close(seed.raw), seed.ts) for seed in found]
    Feeder(wire_format).chunk(golden)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises `TooSlow` inside after so much CPU time. What holds the interpreter itself is for the parent."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fault(feeder: Feeder, records: Sequence[Case], seconds: float = TIME_LIMIT_S) -> str | None:
    """What is wrong with these records: None, or the kind of the fault and where, in a few lines."""
    try:
        with limited(seconds):
            feeder.chunk(records)
    except TooSlow:
        return f"hang: not done in {seconds:g} s\n{traceback.format_exc(limit=-6)}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        return f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
    return None


def _kind(text: str) -> str:
    """Faults of one kind begin alike, numbers aside."""
    return "".join(c for c in text.partition("\n")[0].partition(":")[0] if c.isalnum())


def narrowed(wire_format: str, records: Sequence[Case], text: str) -> list[Case]:
    """The one record that shows the same kind of fault alone, made smaller; all of them if none does."""
    kind, seconds = _kind(text), TIME_LIMIT_S / 2

    def shows(some: Sequence[Case]) -> bool:
        found = fault(Feeder(wire_format), some, seconds)
        return found is not None and _kind(found) == kind

    alone = next(([case] for case in records if shows([case])), None)
    if alone is None:
        return list(records)
    raw, ts = alone[0]
    until = time.monotonic() + MINIMISE_S
    step = max(1, len(raw) // 2)
    while time.monotonic() < until:
        at, smaller = 0, False
        while at < len(raw) and time.monotonic() < until:
            candidate = raw[:at] + raw[at + step :]
            if candidate and shows([(candidate, ts)]):
                raw, smaller = candidate, True
            else:
                at += step
        if step == 1 and not smaller:
            break
        step = max(1, step // 2)
    return [(raw, ts)]


def saved(folder: Path, wire_format: str, number: int, records: Sequence[Case], text: str) -> Failure:
    """Write down the records of a fault, each in a file of its own, and what it said."""
    digest = hashlib.blake2b(b"".join(value for value, _ in records), digest_size=4).hexdigest()
    place = folder / f"{wire_format}-{_kind(text)}-{digest}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "fault.txt").write_text(text)
    for at, (value, ts) in enumerate(records):
        (place / f"{at:03}-at-{ts}.bin").write_bytes(value)
    return Failure(wire_format, number, _kind(text), text, str(place))


def run_chunk(feeder: Feeder, seed: int, number: int, folder: Path) -> tuple[Failure | None, Feeder]:
    """Feed one chunk. After a fault the feeder is a new one: the old one's state is not to be trusted."""
    faulthandler.dump_traceback_later(3 * TIME_LIMIT_S, exit=False)
    try:
        records = cases(feeder.format, seed, number)
        text = fault(feeder, records)
        if text is None:
            return None, feeder
        fresh = Feeder(feeder.format)
        fresh.tally = feeder.tally
        few = narrowed(feeder.format, records, text)
        return saved(folder, feeder.format, number, few, text), fresh
    finally:
        faulthandler.cancel_dump_traceback_later()
