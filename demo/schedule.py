"""Which faults, and when: a plan in seconds from the first customer. Pure; the clock is the caller's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from demo.faults import BY_NAME, DEFAULT, FAULTS, Fault

WARM_UP_S = 70.0
FAULT_S = 32.0
RECOVERY_S = 25.0
LAST_LOOK_S = 15.0


@dataclass(frozen=True, slots=True)
class Slot:
    """One fault, injected `start_s` and healed `end_s` seconds after the load began."""

    fault: Fault
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults in order and the moment the table is drawn."""

    slots: tuple[Slot, ...]
    end_s: float


class UnknownFault(ValueError):
    """A fault was asked for that is not in the catalogue; the message lists those that are."""


def choose(names: Sequence[str], seed: int | None) -> tuple[Fault, ...]:
    """The faults named; without names the default three, or with a `seed` three drawn by it.

    Raises UnknownFault.
    """
    for name in names:
        if name not in BY_NAME:
            raise UnknownFault(f"no fault is called {name!r}; there are: {', '.join(BY_NAME)}")
    if names:
        return tuple(BY_NAME[name] for name in names)
    if seed is None:
        return tuple(BY_NAME[name] for name in DEFAULT)
    return tuple(random.Random(seed).sample(FAULTS, 3))


def plan(
    faults: Sequence[Fault],
    seed: int | None,
    *,
    warm_up_s: float = WARM_UP_S,
    fault_s: float = FAULT_S,
    recovery_s: float = RECOVERY_S,
) -> Plan:
    """Lay the faults out one after another; a `seed` also draws pauses up to 8 s longer."""
    dice = random.Random(seed) if seed is not None else None
    at = warm_up_s
    slots = []
    for fault in faults:
        at += dice.uniform(0, 8) if dice else 0.0
        slots.append(Slot(fault, at, at + fault_s))
        at += fault_s + recovery_s
    return Plan(tuple(slots), at - recovery_s + LAST_LOOK_S if slots else at)
