"""Which lines are of one kind: skeletons are kept apart until there is evidence that a word varies.

Every skeleton (logtokens) begins as a template of its own. Templates that are equal but for one word are
*siblings* there; when they are evidence enough that the place varies (variability), they become one
template in which that place is open. This is the column-wise variability of Brain (Yu et al., IEEE TSC
2023) and the merging of Drain (He et al., ICWS 2017), taken online: never split, merged late, with the
lineage kept.

All state is the templates, in the order they were seen last, and the lineage. The rest is indexes that
are built from them, and a cache of skeletons that never changes an answer: among the templates a
skeleton fits, the oldest has it, and templates only ever leave.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice

from detectors.clusters import Cluster, Group, opened, words_before
from detectors.logtokens import Skeletons
from detectors.patterns import VAR, WILD, Shape, shape_of, widened
from detectors.templates import MinerState, Template
from detectors.variability import varies, varying_columns

LOOK_EVERY, LOOK_AT = 32, 256
"""new templates after which one's group is looked at for that, and how many of the newest there"""
LONG_KEY = 256
"""bytes of a skeleton from which the cache keeps its digest"""
MIN_CACHE = 256

_skeletons = Skeletons()


class Miner:
    """Templates of one service, at most `limit`; the least recently seen is evicted and counted."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.evicted = 0
        self.merged = 0
        """templates that became part of a more general one"""
        self._counter = 0
        self._clusters: OrderedDict[int, Cluster] = OrderedDict()
        self._groups: dict[tuple[bytes, ...], Group] = {}
        self._siblings: dict[int, list[Cluster] | Cluster] = {}
        """templates by a hash of everything but one place; looked at exactly before it is believed"""
        self._before: dict[bytes, int] = {}
        """two words and how many open places come after them"""
        self._lineage: dict[str, str] = {}
        self._young: dict[bytes, Cluster] = {}
        self._old: dict[bytes, Cluster] = {}
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
            newest = islice(reversed(self._groups[shape.glue].by_atoms), LOOK_AT)
            columns = varying_columns(cluster, newest)
            if columns:
                self._settle([self._merge(cluster, columns)[0]])
        if cluster.alive:
            return Template(shape.id, cluster.answer.text, True)
        fit = self._groups[shape.glue].find(shape.atoms)
        if fit is None:
            raise AssertionError(f"a merged template fits nothing: {shape}")
        self._clusters.move_to_end(fit.number)
        return fit.answer

    def _add(self, shape: Shape, lines: int) -> tuple[Cluster, bool]:
        number = self._counter
        self._counter += 1
        cluster = Cluster(number, shape, lines)
        self._clusters[number] = cluster
        return cluster, self._register(cluster)

    def _register(self, cluster: Cluster) -> bool:
        """Enter it in the indexes; whether it has siblings in any place."""
        atoms, glue = cluster.shape.atoms, cluster.shape.glue
        group = self._groups.get(glue)
        if group is None:
            group = self._groups[glue] = Group()
        group.by_atoms[atoms] = cluster
        group.opens[cluster.open] = group.opens.get(cluster.open, 0) + 1
        for place in cluster.open:
            before = words_before(cluster.shape, place)
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

    def _remove(self, cluster: Cluster) -> None:
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
            before = words_before(cluster.shape, place)
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

    def _settle(self, unsettled: list[Cluster]) -> None:
        """Merge as long as there is evidence."""
        while unsettled:
            cluster = unsettled.pop()
            if not cluster.alive:
                continue
            for place, key in zip(cluster.places, cluster.keys, strict=True):
                there = self._siblings[key]
                if isinstance(there, list) and varies(cluster, place, there, self._before):
                    merged, fresh = self._merge(cluster, (place,))
                    if fresh:
                        unsettled.extend(c for c in self._clusters.values() if fresh in c.form)
                    unsettled.append(merged)
                    break

    def _merge(self, cluster: Cluster, places: tuple[int, ...]) -> tuple[Cluster, bytes]:
        """One template, open in these places, of all that fit it; and what stands before, if that is new."""
        glue = cluster.shape.glue
        wide = opened(cluster.shape.atoms, places)
        members = self._groups[glue].covered(wide)
        form = members[0].form
        for place, atom in enumerate(wide):
            if atom == WILD:
                form = widened(form, place)
        shape = shape_of(form)
        before = words_before(shape, places[-1])
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
            cluster = Cluster(number, shape_of(form), lines)
            self._clusters[number] = cluster
        for cluster in sorted(self._clusters.values(), key=lambda c: c.number):
            self._register(cluster)
        self._lineage = dict(state.lineage)
