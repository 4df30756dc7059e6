"""Log templates: what lines of one service have in common, learned line by line.

The miner is drain3's Drain (a fixed-depth parse tree) behind a small protocol of ours. A template's
id is the digest of its first line's skeleton: it stays when the template generalises, and equal
lines in equal order give equal ids. State is exported as plain lists, exactly: a restored miner
answers every further line as the original would have.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec
from drain3.drain import Drain, LogCluster, Node

from streams.records.digest import digest_hex

MAX_LINE = 2_000
"""characters of a line that are looked at"""
MAX_TOKENS = 100
"""words of a line that are mined; the rest counts as one"""
MAX_CACHE = 4_096
DEPTH = 4
SIMILARITY = 0.4
MAX_CHILDREN = 100
WILD = "<*>"


class Template(NamedTuple):
    """Answer to one line."""

    id: str
    text: str
    is_new: bool


class TemplateMiner(Protocol):
    """Anything that turns lines into templates."""

    def learn(self, line: str) -> Template:
        """The line's template, learning from it."""
        ...


# Every pattern is linear: no nested repeats, and what may repeat cannot also be what follows.
# Pattern, name, and a character that must occur so often for the pattern to be worth trying.
_MASKS: tuple[tuple[re.Pattern[str], str, str, int], ...] = (
    (
        re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"),
        "<uuid>",
        "-",
        4,
    ),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), "<mail>", "@", 1),
    (
        re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?"),
        "<time>",
        "-",
        2,
    ),
    (re.compile(r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?\b"), "<time>", ":", 2),
    (re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d{1,5})?\b"), "<ip>", ".", 3),
    (re.compile(r"\b0[xX][0-9a-fA-F]{1,64}\b"), "<hex>", "0", 1),
    (
        re.compile(r"\b(?=[a-f]{0,64}\d)[0-9a-f]{8,64}\b|\b(?=[A-F]{0,64}\d)[0-9A-F]{8,64}\b"),
        "<hex>",
        "",
        9,
    ),
    (
        re.compile(r"(?<![\w.])[+-]?\d{1,40}(?:\.\d{1,40})?(?:ms|us|µs|ns|s|[kKMGT]?i?B|%)?(?![\w])"),
        "<num>",
        "",
        1,
    ),
)
_HAS_DIGIT = re.compile(r"[0-9@]")
_SHAPE = str.maketrans("023456789", "111111111")
_NUMBERED = re.compile(r"\d{1,40}")


def mask(line: str) -> str:
    """The line with the parts that certainly vary replaced: ids, addresses, times, numbers."""
    line = line[:MAX_LINE]
    if _HAS_DIGIT.search(line) is None:
        return line
    for pattern, name, needs, times in _MASKS:
        if line.count(needs) >= times:
            line = pattern.sub(name, line)
    return line


def skeleton(masked: str) -> str:
    """What a first line is known by: its words, with digits inside words flattened."""
    return _NUMBERED.sub("#", masked)


class _Recent(OrderedDict[int, LogCluster]):
    """Clusters, least recently seen first; the first goes when a new one comes beyond `limit`.

    In place of drain3's cache, whose order cannot be exported.
    """

    def __init__(self, limit: int, on_evict: Callable[[int], None]) -> None:
        super().__init__()
        self._limit = limit
        self._on_evict = on_evict

    def __getitem__(self, number: int) -> LogCluster:
        self.move_to_end(number)
        return super().__getitem__(number)

    def __setitem__(self, number: int, cluster: LogCluster) -> None:
        if len(self) >= self._limit and number not in self:
            oldest = next(iter(self))
            del self[oldest]
            self._on_evict(oldest)
        super().__setitem__(number, cluster)


class MinerState(msgspec.Struct, array_like=True):
    """Snapshot of a miner."""

    counter: int
    evicted: int
    clusters: list[tuple[int, list[str], int, str]]
    """(number, tokens, lines, id), least recently seen first"""
    tree: Any
    """children by token and cluster numbers, nested"""


class DrainMiner:
    """Templates of one service, at most `limit`; the least recently seen is evicted and counted."""

    def __init__(self, limit: int) -> None:
        self.evicted = 0
        self._drain = Drain(DEPTH, SIMILARITY, MAX_CHILDREN)
        self._clusters = _Recent(limit, self._forget)
        self._drain.id_to_cluster = self._clusters
        self._ids: dict[int, str] = {}
        self._uses: dict[str, int] = {}
        """clusters by id: two may have begun with the same skeleton"""
        self._shapes: dict[str, str] = {}
        self._cache: dict[str, LogCluster] = {}
        """masked line to cluster; valid until a cluster is made or changed, so it never changes an answer"""

    def __len__(self) -> int:
        return len(self._ids)

    def learn(self, line: str) -> Template:
        """The line's template, learning from it. Only the first 2,000 characters count."""
        masked = self._masked(line)
        cluster = self._cache.get(masked)
        if cluster is not None:
            cluster.size += 1
            self._clusters.move_to_end(cluster.cluster_id)
            return Template(self._ids[cluster.cluster_id], cluster.get_template(), False)
        words = masked.split(None, MAX_TOKENS)
        if len(words) > MAX_TOKENS:
            words[MAX_TOKENS] = WILD
        cluster, change = self._drain.add_log_message(" ".join(words))
        if change != "none":
            self._cache.clear()
        is_new = False
        if change == "cluster_created":
            name = digest_hex(skeleton(masked))
            is_new = name not in self._uses
            self._name(cluster.cluster_id, name)
        elif len(self._cache) < MAX_CACHE:
            self._cache[masked] = cluster
        return Template(self._ids[cluster.cluster_id], cluster.get_template(), is_new)

    def _masked(self, line: str) -> str:
        """`mask`, remembered by the line's shape: but for the 0 of `0x` no pattern tells digits apart, so
        that what is masked without a digit left over is the same for all lines of the shape."""
        if "0x" in line or "0X" in line:
            return mask(line)
        shape = line.translate(_SHAPE)
        masked = self._shapes.get(shape)
        if masked is None:
            masked = mask(line)
            if len(shape) <= MAX_LINE and not _NUMBERED.search(masked):
                if len(self._shapes) >= MAX_CACHE:
                    self._shapes.clear()
                self._shapes[shape] = masked
        return masked

    def _name(self, number: int, name: str) -> None:
        self._ids[number] = name
        self._uses[name] = self._uses.get(name, 0) + 1

    def _forget(self, number: int) -> None:
        name = self._ids.pop(number)
        self._uses[name] -= 1
        if not self._uses[name]:
            del self._uses[name]
        self.evicted += 1

    def export(self) -> MinerState:
        """State for a snapshot."""
        clusters = [
            (c.cluster_id, list(c.log_template_tokens), c.size, self._ids[c.cluster_id])
            for c in self._clusters.values()
        ]
        return MinerState(self._drain.clusters_counter, self.evicted, clusters, _pack(self._drain.root_node))

    def load(self, state: MinerState) -> None:
        """Take over what `export` gave, into a fresh miner."""
        self._drain.clusters_counter = state.counter
        self.evicted = state.evicted
        for number, tokens, size, name in state.clusters:
            cluster = LogCluster(tokens, number)
            cluster.size = size
            self._clusters[number] = cluster
            self._name(number, name)
        self._drain.root_node = _unpack(state.tree)


def _pack(node: Node) -> list[Any]:
    return [list(node.cluster_ids), {key: _pack(child) for key, child in node.key_to_child_node.items()}]


def _unpack(packed: Any) -> Node:
    node = Node()
    node.cluster_ids = list(packed[0])
    node.key_to_child_node = {key: _unpack(child) for key, child in packed[1].items()}
    return node
