"""Templates as the miner holds them, and those with the same glue together."""

from __future__ import annotations

from functools import reduce
from operator import itemgetter, xor

from detectors.patterns import VAR, WILD, Shape, is_word, text_of
from detectors.templates import Template


class Cluster:
    """A template with what is derived from its form."""

    __slots__ = ("alive", "answer", "form", "keys", "lines", "number", "open", "places", "shape")

    def __init__(self, number: int, shape: Shape, lines: int) -> None:
        self.number = number
        self.form = shape.form
        self.shape = shape
        self.lines = lines
        self.answer = Template(shape.id, text_of(shape.form), False)
        self.open = _open_places(shape.atoms)
        self.places, self.keys = _places(shape)
        self.alive = True
        """not evicted, not merged"""


class Group:
    """Templates with the same glue, by their atoms and by which of these are open."""

    __slots__ = ("by_atoms", "opens")

    def __init__(self) -> None:
        self.by_atoms: dict[tuple[bytes, ...], Cluster] = {}
        self.opens: dict[tuple[int, ...], int] = {}

    def find(self, atoms: tuple[bytes, ...]) -> Cluster | None:
        """The oldest template that fits."""
        best = None
        for open_places in self.opens:
            found = self.by_atoms.get(opened(atoms, open_places) if open_places else atoms)
            if found is not None and (best is None or found.number < best.number):
                best = found
        return best

    def covered(self, atoms: tuple[bytes, ...]) -> list[Cluster]:
        """Templates that these atoms would fit, oldest first."""
        fixed = [place for place, atom in enumerate(atoms) if atom != WILD]
        if not fixed:
            return list(self.by_atoms.values())
        pick = itemgetter(*fixed)
        wanted = pick(atoms)
        return [cluster for key, cluster in self.by_atoms.items() if pick(key) == wanted]


def _open_places(atoms: tuple[bytes, ...]) -> tuple[int, ...]:
    return tuple(place for place, atom in enumerate(atoms) if atom == WILD) if WILD in atoms else ()


def opened(atoms: tuple[bytes, ...], places: tuple[int, ...]) -> tuple[bytes, ...]:
    changed = list(atoms)
    for place in places:
        changed[place] = WILD
    return tuple(changed)


def words_before(shape: Shape, place: int) -> bytes:
    """The two words before a place with their glue; empty if these are not two words."""
    atoms, glue = shape.atoms, shape.glue
    if place < 2 or not (is_word(atoms[place - 1]) and is_word(atoms[place - 2])):
        return b""
    return b"".join((atoms[place - 2], glue[place - 1], atoms[place - 1], glue[place]))


def _places(shape: Shape) -> tuple[list[int], list[int]]:
    """Places that may turn out to vary, each with a hash of everything else. It never leaves the process."""
    atoms = shape.atoms
    hashes = [*map(hash, enumerate(atoms))]
    whole = reduce(xor, hashes, hash(shape.glue))
    places = [
        k for k, atom in enumerate(atoms) if atom.isalpha() or atom == VAR or (atom != WILD and is_word(atom))
    ]
    return places, [whole ^ hashes[k] for k in places]
