"""How well groups of alerts agree with the true ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from sklearn.metrics import adjusted_mutual_info_score


class Attack(NamedTuple):
    """Of the phases of attacks: how whole they are, how clean what holds them is."""

    completeness: float
    """share of a phase's alerts that the group with most of them holds, mean over phases"""
    purity: float
    """share of alerts of any phase among all alerts of the groups that hold one, mean over groups"""
    clean: float
    """the same over all alerts of those groups together"""
    touched: int
    """groups that hold an alert of a phase"""
    groups: int


def attack(groups: Sequence[Hashable], phases: Sequence[str], quiet: str) -> Attack:
    """Of alerts with their group and phase; `quiet` is the label of alerts of no phase."""
    by_phase: dict[str, Counter[Hashable]] = defaultdict(Counter)
    sizes: Counter[Hashable] = Counter(groups)
    held: Counter[Hashable] = Counter()
    for group, phase in zip(groups, phases, strict=True):
        if phase != quiet:
            by_phase[phase][group] += 1
            held[group] += 1
    whole = [max(counts.values()) / counts.total() for counts in by_phase.values()]
    pure = [count / sizes[group] for group, count in held.items()]
    return Attack(
        sum(whole) / len(whole),
        sum(pure) / len(pure),
        held.total() / sum(sizes[group] for group in held),
        len(held),
        len(sizes),
    )


def mutual(groups: Sequence[Hashable], true: Sequence[Hashable]) -> float:
    """Adjusted mutual information (Vinh et al., JMLR 2010), max normalised: 1 the same, 0 as by chance."""
    return float(adjusted_mutual_info_score(_codes(true), _codes(groups), average_method="max"))


def _codes(labels: Sequence[Hashable]) -> list[int]:
    known: dict[Hashable, int] = {}
    return [known.setdefault(label, len(known)) for label in labels]
