"""Which lines are of one kind: skeletons are kept apart until there is evidence that a word varies.

Every skeleton (logtokens) begins as a template of its own. Templates that are equal but for one word are
*siblings* there; when a place has enough siblings, they become one template in which that place is
open. How many are enough depends on what they look like: a word beside a number, or words equal but for
a digit, are enough as two; words take `WORDS` of them, more where the rest of the template says little.
A place after the same two words as an open place elsewhere takes two. This is the column-wise
variability of Brain (Yu et al., 2023) and of Drain's merging (He et al., 2017), taken online: never
split, merged late, with the lineage kept.

All state is the templates, in the order they were seen last, and the lineage. The rest is indexes that
are built from them, and a cache of skeletons that never changes an answer: among the templates a
skeleton fits, the oldest has it, and templates only ever leave.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import reduce
from hashlib import blake2b
from itertools import islice
from operator import xor

from detectors.logtokens import Skeletons
from detectors.patterns import (
    VAR,
    WILD,
    Shape,
    is_word,
    numberless,
    shape_of,
    text_of,
    widened,
)
from detectors.templates import MinerState, Template

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
LOOK_EVERY, LOOK_AT = 32, 256
"""new templates after which one's group is looked at for that, and how many of the newest there"""
LONG_KEY = 256
"""bytes of a skeleton from which the cache keeps its digest"""
MIN_CACHE = 256

_skeletons = Skeletons()


class _Cluster:
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


class _Group:
    """Templates with the same glue, by their atoms and by which of these are open."""

    __slots__ = ("by_atoms", "opens")

    def __init__(self) -> None:
        self.by_atoms: dict[tuple[bytes, ...], _Cluster] = {}
        self.opens: dict[tuple[int, ...], int] = {}

    def find(self, atoms: tuple[bytes, ...]) -> _Cluster | None:
        """The oldest template that fits."""
        best = None
        for open_places in self.opens:
            found = self.by_atoms.get(_opened(atoms, open_places) if open_places else atoms)
            if found is not None and (best is None or found.number < best.number):
                best = found
        return best

    def covered(self, atoms: tuple[bytes, ...]) -> list[_Cluster]:
        """Templates that these atoms would fit, oldest first."""
        fixed = [(place, atom) for place, atom in enumerate(atoms) if atom != WILD]
        found = [c for key, c in self.by_atoms.items() if all(key[place] == atom for place, atom in fixed)]
        return sorted(found, key=lambda c: c.number)


def _open_places(atoms: tuple[bytes, ...]) -> tuple[int, ...]:
    return tuple(place for place, atom in enumerate(atoms) if atom == WILD) if WILD in atoms else ()


def _opened(atoms: tuple[bytes, ...], places: tuple[int, ...]) -> tuple[bytes, ...]:
    changed = list(atoms)
    for place in places:
        changed[place] = WILD
    return tuple(changed)


def _before(shape: Shape, place: int) -> bytes:
    """The two words before a place with their glue; empty if these are not two words."""
    atoms, glue = shape.atoms, shape.glue
    if place < 2 or not (is_word(atoms[place - 1]) and is_word(atoms[place - 2])):
        return b""
    return b"".join((atoms[place - 2], glue[place - 1], atoms[place - 1], glue[place]))


class Miner:
    """Templates of one service, at most `limit`; the least recently seen is evicted and counted."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.evicted = 0
        self.merged = 0
        """templates that became part of a more general one"""
        self._counter = 0
        self._clusters: OrderedDict[int, _Cluster] = OrderedDict()
        self._groups: dict[tuple[bytes, ...], _Group] = {}
        self._siblings: dict[int, list[_Cluster] | _Cluster] = {}
        """templates by a hash of everything but one place; looked at exactly before it is believed"""
        self._before: dict[bytes, int] = {}
        """two words and how many open places come after them"""
        self._lineage: dict[str, str] = {}
        self._young: dict[bytes, _Cluster] = {}
        self._old: dict[bytes, _Cluster] = {}
        self._room = max(MIN_CACHE, 2 * limit)

    def __len__(self) -> int:
        return len(self._clusters)

    def learn(self, line: str) -> Template:
        """The line's template, learning from it. Only the first 2,000 characters count."""
        return self._take(_skeletons.of(line))

    def learn_many(self, lines: Sequence[str]) -> list[Template]:
        """What `learn` gives for each line in turn, faster."""
        answers = []
        young, touch = self._young, self._clusters.move_to_end
        for skeleton in _skeletons.of_many(lines):
            cluster = young.get(skeleton)
            if cluster is not None and cluster.alive:
                cluster.lines += 1
                touch(cluster.number)
                answers.append(cluster.answer)
            else:
                answers.append(self._take(skeleton))
                young = self._young
        return answers

    def current(self, template_id: str) -> str:
        """What a template that may have been merged is now; its own id if nothing is known of it."""
        while (became := self._lineage.get(template_id)) is not None:
            template_id = became
        return template_id

    def texts(self) -> dict[str, str]:
        """Text of every template by its id."""
        return {c.answer.id: c.answer.text for c in self._clusters.values()}

    def _take(self, skeleton: bytes) -> Template:
        key = skeleton
        if len(key) > LONG_KEY:
            key = VAR + blake2b(skeleton, digest_size=16).digest()
        cluster = self._young.get(key)
        if cluster is not None and cluster.alive:
            cluster.lines += 1
            self._clusters.move_to_end(cluster.number)
            return cluster.answer
        cluster = self._old.get(key)
        if cluster is None or not cluster.alive:
            shape = shape_of(skeleton)
            group = self._groups.get(shape.glue)
            cluster = group.find(shape.atoms) if group is not None else None
            if cluster is None:
                return self._create(shape)
        if len(self._young) >= self._room:
            self._old, self._young = self._young, {}
        self._young[key] = cluster
        cluster.lines += 1
        self._clusters.move_to_end(cluster.number)
        return cluster.answer

    def _create(self, shape: Shape) -> Template:
        """A template for a skeleton that fits none, which may at once be one more of its siblings."""
        if len(self._clusters) >= self.limit:
            self._remove(next(iter(self._clusters.values())))
            self.evicted += 1
        cluster, related = self._add(shape, 1)
        self._lineage.pop(shape.id, None)
        if related:
            self._settle([cluster])
        if cluster.alive and not cluster.number % LOOK_EVERY:
            self._look_at_columns(cluster)
        if cluster.alive:
            return Template(shape.id, cluster.answer.text, True)
        fit = self._groups[shape.glue].find(shape.atoms)
        if fit is None:
            raise AssertionError(f"a merged template fits nothing: {shape}")
        self._clusters.move_to_end(fit.number)
        return fit.answer

    def _add(self, shape: Shape, lines: int) -> tuple[_Cluster, bool]:
        number = self._counter
        self._counter += 1
        cluster = _Cluster(number, shape, lines)
        self._clusters[number] = cluster
        return cluster, self._register(cluster)

    def _register(self, cluster: _Cluster) -> bool:
        """Enter it in the indexes; whether it has siblings in any place."""
        atoms, glue = cluster.shape.atoms, cluster.shape.glue
        group = self._groups.get(glue)
        if group is None:
            group = self._groups[glue] = _Group()
        group.by_atoms[atoms] = cluster
        group.opens[cluster.open] = group.opens.get(cluster.open, 0) + 1
        for place in cluster.open:
            before = _before(cluster.shape, place)
            if before:
                self._before[before] = self._before.get(before, 0) + 1
        siblings, related = self._siblings, False
        for key in cluster.keys:
            there = siblings.get(key)
            if there is None:
                siblings[key] = cluster
                continue
            related = True
            if isinstance(there, list):
                there.append(cluster)
            else:
                siblings[key] = [there, cluster]
        return related

    def _remove(self, cluster: _Cluster) -> None:
        atoms, glue = cluster.shape.atoms, cluster.shape.glue
        del self._clusters[cluster.number]
        cluster.alive = False
        group = self._groups[glue]
        del group.by_atoms[atoms]
        group.opens[cluster.open] -= 1
        if not group.opens[cluster.open]:
            del group.opens[cluster.open]
            if not group.opens:
                del self._groups[glue]
        for place in cluster.open:
            before = _before(cluster.shape, place)
            if before:
                self._before[before] -= 1
                if not self._before[before]:
                    del self._before[before]
        siblings = self._siblings
        for key in cluster.keys:
            there = siblings.pop(key)
            if isinstance(there, list):
                there.remove(cluster)
                siblings[key] = there if len(there) > 1 else there[0]

    def _settle(self, unsettled: list[_Cluster]) -> None:
        """Merge as long as there is evidence."""
        while unsettled:
            cluster = unsettled.pop()
            if not cluster.alive:
                continue
            for place, key in zip(cluster.places, cluster.keys, strict=True):
                there = self._siblings[key]
                if isinstance(there, list) and self._varies(cluster, place, there):
                    merged, fresh = self._merge(cluster, (place,))
                    if fresh:
                        unsettled.extend(c for c in self._clusters.values() if fresh in c.form)
                    unsettled.append(merged)
                    break

    def _varies(self, cluster: _Cluster, place: int, there: Iterable[_Cluster]) -> bool:
        """Whether what the siblings of a template have in a place is evidence that it varies."""
        atoms, glue = cluster.shape.atoms, cluster.shape.glue
        values = {
            c.shape.atoms[place]
            for c in there
            if c.shape.glue == glue
            and c.shape.atoms[:place] == atoms[:place]
            and c.shape.atoms[place + 1 :] == atoms[place + 1 :]
        }
        if len(values) < 2:
            return False
        numbered = [numberless(value) for value in values if value != VAR]
        if len(set(numbered) - {b""}) < len(numbered) - numbered.count(b""):
            return True
        rest = sum(1 for k, atom in enumerate(atoms) if k != place and is_word(atom))
        if VAR in values and (rest >= LONG or any(numbered)):
            return True
        if rest >= SHORT and not all(map(bytes.isupper, values)):
            before = _before(cluster.shape, place)
            if before and before in self._before:
                return True
        if rest < SHORT:
            return False
        enough = (WORDS if rest >= LONG else WORDS_SHORT) if place else WORDS_FIRST
        return len(values) >= enough and (len(values) >= WORDS_UPPER or not all(map(bytes.isupper, values)))

    def _look_at_columns(self, cluster: _Cluster) -> None:
        """Templates in which two or three words vary at once are siblings of none: columns show them."""
        glue, first = cluster.shape.glue, cluster.shape.atoms[:1]
        newest = islice(reversed(self._groups[glue].by_atoms), LOOK_AT)
        rows = [atoms for atoms in newest if atoms[:1] == first]
        if len(rows) < CROWD:
            return
        columns = [set(column) for column in zip(*rows, strict=True)]
        free = tuple(
            place
            for place, values in enumerate(columns)
            if place
            and 2 * len(values) > len(rows)
            and cluster.shape.atoms[place] != WILD
            and not all(map(bytes.isupper, values))
        )
        rest = sum(1 for place, atom in enumerate(cluster.shape.atoms) if place not in free and is_word(atom))
        if not 2 <= len(free) <= 3 or rest < max(LONG, len(free) + 1):
            return
        wide = _opened(cluster.shape.atoms, free)
        if sum(_opened(atoms, free) == wide for atoms in rows) >= CROWD:
            self._settle([self._merge(cluster, free)[0]])

    def _merge(self, cluster: _Cluster, places: tuple[int, ...]) -> tuple[_Cluster, bytes]:
        """One template, open in these places, of all that fit it; and what stands before, if that is new."""
        glue = cluster.shape.glue
        wide = _opened(cluster.shape.atoms, places)
        members = self._groups[glue].covered(wide)
        form = members[0].form
        for open_place in _open_places(wide):
            form = widened(form, open_place)
        shape = shape_of(form)
        before = _before(shape, places[-1])
        fresh = before if before not in self._before else b""
        ids = [c.answer.id for c in members]
        lines = sum(c.lines for c in members)
        for member in members:
            self._remove(member)
        self.merged += len(members)
        merged, _ = self._add(shape, lines)
        self._lineage.pop(merged.answer.id, None)
        for one in ids:
            if one != merged.answer.id:
                self._lineage.pop(one, None)
                self._lineage[one] = merged.answer.id
        while len(self._lineage) > 4 * self.limit:
            del self._lineage[next(iter(self._lineage))]
        return merged, fresh

    def export(self) -> MinerState:
        """State for a snapshot."""
        return MinerState(
            self._counter,
            self.evicted,
            self.merged,
            [(c.number, c.form, c.lines) for c in self._clusters.values()],
            list(self._lineage.items()),
        )

    def load(self, state: MinerState) -> None:
        """Take over what `export` gave, into a fresh miner."""
        self._counter, self.evicted, self.merged = state.counter, state.evicted, state.merged
        for number, form, lines in state.clusters:
            cluster = _Cluster(number, shape_of(form), lines)
            self._clusters[number] = cluster
        for cluster in sorted(self._clusters.values(), key=lambda c: c.number):
            self._register(cluster)
        self._lineage = dict(state.lineage)


def _places(shape: Shape) -> tuple[list[int], list[int]]:
    """Places that may turn out to vary, each with a hash of everything else. It never leaves the process."""
    atoms = shape.atoms
    hashes = [*map(hash, enumerate(atoms))]
    whole = reduce(xor, hashes, hash(shape.glue))
    places = [
        k for k, atom in enumerate(atoms) if atom.isalpha() or atom == VAR or (atom != WILD and is_word(atom))
    ]
    return places, [whole ^ hashes[k] for k in places]
