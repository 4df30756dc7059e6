"""When words in one place of a template are values: evidence from its siblings, and from whole columns.

How many words are enough depends on what they look like: a word beside a number, or words equal but for
a digit, are enough as two; words take `WORDS` of them, more where the rest of the template says little. A
place after the same two words as an open place elsewhere takes two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from detectors.clusters import Cluster, opened, words_before
from detectors.patterns import VAR, WILD, is_word, numberless

WORDS = 4
"""different words that make a place one that varies, if three words of the template stay"""
WORDS_SHORT = 8
"""the same, if two stay; if fewer do, words alone never suffice"""
WORDS_FIRST = 24
"""the same for the first word: what a line begins with says what it is"""
WORDS_UPPER = 12
"""the least of these where all words are in capitals: most often the names of states"""
LONG, SHORT = 3, 2
CROWD = 16
"""so many templates that agree but for two or three places make these places ones that vary"""
WITNESSES, FEW_WITNESSES = 64, 12
"""siblings that are asked, the newest; fewer where so little else is said that only two alike count"""


def varies(cluster: Cluster, place: int, siblings: Sequence[Cluster], known: Collection[bytes]) -> bool:
    """Whether what siblings have in a place is evidence that it varies; `known` stands before open places."""
    atoms, glue = cluster.shape.atoms, cluster.shape.glue
    rest = sum(1 for k, atom in enumerate(atoms) if k != place and is_word(atom))
    values = {
        c.shape.atoms[place]
        for c in siblings[-(WITNESSES if rest >= SHORT else FEW_WITNESSES) :]
        if c.shape.glue == glue
        and c.shape.atoms[:place] == atoms[:place]
        and c.shape.atoms[place + 1 :] == atoms[place + 1 :]
    }
    if len(values) < 2:
        return False
    numbered = [numberless(value) for value in values if value != VAR]
    if len(set(numbered) - {b""}) < len(numbered) - numbered.count(b""):
        return True
    if VAR in values and (rest >= LONG or any(numbered)):
        return True
    if rest < SHORT:
        return False
    states = all(map(bytes.isupper, values))
    if not states and words_before(cluster.shape, place) in known:
        return True
    enough = (WORDS if rest >= LONG else WORDS_SHORT) if place else WORDS_FIRST
    return len(values) >= (max(enough, WORDS_UPPER) if states else enough)


def varying_columns(cluster: Cluster, newest: Iterable[tuple[bytes, ...]]) -> tuple[int, ...]:
    """Two or three places that vary at once, so that no template has siblings there; empty if there are none.

    `newest` are atoms of templates with the same glue.
    """
    mine = cluster.shape.atoms
    rows = [atoms for atoms in newest if atoms[:1] == mine[:1]]
    if len(rows) < CROWD:
        return ()
    free = tuple(
        place
        for place, values in enumerate(map(set, zip(*rows, strict=True)))
        if place
        and 2 * len(values) > len(rows)
        and mine[place] != WILD
        and not all(map(bytes.isupper, values))
    )
    rest = sum(1 for place, atom in enumerate(mine) if place not in free and is_word(atom))
    if not 2 <= len(free) <= 3 or rest < max(LONG, len(free) + 1):
        return ()
    wide = opened(mine, free)
    return free if sum(opened(atoms, free) == wide for atoms in rows) >= CROWD else ()
