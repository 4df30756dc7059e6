"""One object for equal descriptions: of a hundred thousand series most texts and label sets are the same.

Series come out of pages and decoders each with texts of its own. Kept for as long as the series lives,
they would cost more memory than everything that is learned of it.
"""

from __future__ import annotations

from collections.abc import Hashable
from sys import intern

from streams.records.pages import Origin, Series

Pairs = tuple[tuple[str, str], ...]

MOST = 16_384
"""label sets and raw keys remembered; past that the memory begins anew, which costs sharing and changes
nothing"""

_sets: dict[Pairs, Pairs] = {}
_pairs: dict[tuple[str, str], tuple[str, str]] = {}
_bounds: dict[tuple[float, ...], tuple[float, ...]] = {}
_keys: dict[Hashable, Hashable] = {}


def pairs(given: Pairs) -> Pairs:
    """An equal tuple, the same one for equal tuples."""
    found = _sets.get(given)
    if found is None:
        if len(_sets) >= MOST or len(_pairs) >= MOST:
            _sets.clear()
            _pairs.clear()
        found = tuple([_pair(each) for each in given])
        _sets[found] = found
    return found


def _pair(given: tuple[str, str]) -> tuple[str, str]:
    found = _pairs.get(given)
    if found is None:
        found = (intern(given[0]), intern(given[1]))
        _pairs[found] = found
    return found


def key(given: Hashable) -> Hashable:
    """An equal raw key, made of shared parts: one label set is sent with many metrics, by many senders."""
    found = _keys.get(given)
    if found is None:
        if len(_keys) >= MOST:
            _keys.clear()
        if type(given) is tuple:
            given = tuple([key(each) if type(each) is bytes else each for each in given])
        found = _keys[given] = given
    return found


def series(given: Series) -> Series:
    """An equal series made of shared parts."""
    bounds = given.bounds
    if bounds:
        if len(_bounds) >= MOST:
            _bounds.clear()
        bounds = _bounds.setdefault(bounds, bounds)
    return Series(
        given.fp,
        intern(given.service),
        intern(given.metric),
        pairs(given.labels),
        intern(given.unit),
        given.kind,
        bounds,
        pairs(given.resource),
    )


def origin(given: Origin) -> Origin:
    """An equal origin made of shared parts."""
    return Origin(intern(given.service), intern(given.instance), pairs(given.resource))
