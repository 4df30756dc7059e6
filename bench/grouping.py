"""How well templates agree with the ones people wrote for the same lines.

All four are of the final state: each line's template after the last line has been read.

- GA, grouping accuracy (Zhu et al., ICSE-SEIP 2019): share of lines whose group is exactly a true group.
- FGA (Jiang et al., ISSTA 2024): F1 over groups, a group being right if it is exactly a true group.
- PA, parsing accuracy (Dai et al., TSE 2020): share of lines whose template is the true one to the letter.
- FTA (Khan et al., ICSE 2022): F1 over templates, one being right if it is the true one of all its lines.

Runs of blanks count as one; nothing else is corrected on either side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple


class Agreement(NamedTuple):
    ga: float
    fga: float
    pa: float
    fta: float
    templates: int


def agreement(
    groups: Sequence[Hashable],
    texts: Sequence[str],
    true_groups: Sequence[Hashable],
    true_texts: Sequence[str],
) -> Agreement:
    """Of lines with their found group and template, and the true ones."""
    found, true = _members(groups), _members(true_groups)
    right = set(true.values()) & set(found.values())
    texts, true_texts = [" ".join(t.split()) for t in texts], [" ".join(t.split()) for t in true_texts]
    by_text, by_true_text = _members(texts), _members(true_texts)
    same = sum(1 for text, lines in by_text.items() if all(true_texts[n] == text for n in lines))
    return Agreement(
        sum(len(lines) for lines in right) / len(groups),
        2 * len(right) / (len(found) + len(true)),
        sum(map(str.__eq__, texts, true_texts)) / len(texts),
        2 * same / (len(by_text) + len(by_true_text)),
        len(found),
    )


def _members(labels: Iterable[Hashable]) -> dict[Hashable, tuple[int, ...]]:
    members: dict[Hashable, list[int]] = defaultdict(list)
    for n, label in enumerate(labels):
        members[label].append(n)
    return {label: tuple(lines) for label, lines in members.items()}
