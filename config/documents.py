"""YAML as plain values, quickly and strictly, and where in the text a value stands.

Values are built straight from the nodes that libyaml composes: ten thousand services in about a second. A
key that is given twice is an error; anchors, aliases and merge keys work. Dates stay text.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"
_TAG = "tag:yaml.org,2002:"
_CONSTRUCTED = frozenset(_TAG + name for name in ("bool", "int", "float", "null"))
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """No implicit dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

Place = Sequence[str | int]
"""the way to a value inside a document: keys and places"""


class DocumentError(ValueError):
    """Not YAML as expected; `line` counts from 1, 0 where it is not known."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class Document:
    """One document: its value, and the line of everything in it."""

    def __init__(self, node: Any, value: Any) -> None:
        self._node = node
        self.value = value

    def line(self, place: Place, key: str = "") -> int:
        """Where the value at `place` begins, or the key `key` in it; else what is nearest to it."""
        node = self._node
        for part in place:
            inner = _inner(node, part)
            if inner is None:
                break
            node = inner
        if key and isinstance(node, yaml.MappingNode):
            for name, _ in node.value:
                if name.value == key:
                    return int(name.start_mark.line) + 1
        return int(node.start_mark.line) + 1


def documents(text: str) -> list[Document]:
    """The documents of a text that are not empty. Raises `DocumentError`."""
    try:
        nodes = list(yaml.compose_all(text, _Loader))
        build = _Builder()
        return [Document(node, build.value(node)) for node in nodes if not _empty(node)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        raise DocumentError(mark.line + 1 if mark else 0, f"not valid YAML: {what}") from None
    except yaml.YAMLError as error:
        raise DocumentError(0, f"not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise DocumentError(0, "not valid YAML: it is nested too deeply, or in itself") from None


class _Builder:
    def __init__(self) -> None:
        self._construct = yaml.SafeLoader("")
        self._known: dict[tuple[str, str], Any] = {}
        """scalars that have come before, by tag and text"""

    def value(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one) for one in node.value]
        return self._mapping(node)

    def _scalar(self, node: Any) -> Any:
        if node.tag not in _CONSTRUCTED:
            return node.value
        key = (node.tag, node.value)
        if key not in self._known:
            try:
                self._known[key] = self._construct.construct_object(node)
            except ValueError as error:
                raise DocumentError(node.start_mark.line + 1, f"not valid YAML: {error}") from None
        return self._known[key]

    def _mapping(self, node: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for name, inner in node.value:
            line = name.start_mark.line + 1
            if name.tag == _MERGE:
                for one in inner.value if isinstance(inner, yaml.SequenceNode) else [inner]:
                    if not isinstance(one, yaml.MappingNode):
                        raise DocumentError(line, "not valid YAML: << takes a mapping or a list of them")
                    merged = {**self._mapping(one), **merged}
                continue
            if not isinstance(name, yaml.ScalarNode):
                raise DocumentError(line, "not valid YAML: expected a plain key")
            if name.value in found:
                raise DocumentError(line, f"{name.value!r} is given twice")
            found[name.value] = self.value(inner)
        return {**merged, **found} if merged else found


def _inner(node: Any, part: str | int) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    if isinstance(node, yaml.MappingNode):
        for name, inner in node.value:
            if name.value == str(part):
                return inner
    return None


def _empty(node: Any) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "null")


@contextmanager
def without_collector() -> Iterator[None]:
    """Many small objects are made and none is garbage: looking for it takes two thirds of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
