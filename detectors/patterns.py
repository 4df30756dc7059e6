"""Patterns: what a template is made of, and what it looks like.

A *form* is a skeleton, as of the first line of its kind, in which words found to vary are replaced by
`WILD`. Its *atoms* and the *glue* between them are what is compared: there, values one behind the other
(`1, 2, 3`) count as one value and a unit that repeats (`n1 <ok> n2 <ok> n3 <ok>`) comes twice at most, so
that lists of any length are one template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

VAR, WILD = b"\x01", b"\x02"
"""what varies by its looks; a word that was found to vary"""
SHOWN = b"<*>"
_RUN = rb"\x01(?:(?::+|[ ,;|#]+)\x01)*"
_LIST = re.compile(_RUN)
_ATOM = rb"\x02|[\x80-\xff]+|[^ =,;()\[\]{}\"'|<>#`:\x01\x02\x80-\xff]+"
_SPLIT = re.compile(rb"(\x01|" + _ATOM + rb")")
_PLACES = re.compile(_RUN + rb"|" + _ATOM)
_DIGIT = re.compile(rb"\d")
MOST_REPEATED = 4
"""atoms of a unit that may repeat"""


class Shape(NamedTuple):
    """A form taken apart: its atoms, and the glue before each and after the last."""

    atoms: tuple[bytes, ...]
    glue: tuple[bytes, ...]
    form: bytes
    """what it was taken from, shorter if units repeat in it"""
    id: str
    """digest of atoms and glue; how long a list is does not count, nor why a place varies"""


def shape_of(form: bytes) -> Shape:
    """Takes a form apart."""
    whole = _LIST.sub(VAR, form) if form.count(VAR) > 1 else form
    parts = _SPLIT.split(whole)
    atoms, glue = parts[1::2], parts[0::2]
    if len(atoms) > 3 and WILD not in form and whole.count(VAR) > 1:
        words = [atom for atom in atoms if atom != VAR]
        if len(set(words)) < len(words):
            short = _without_repeats(atoms, glue)
            if short is not None:
                atoms, glue = short
                whole = form = _joined(atoms, glue)
    name = blake2b(whole.replace(WILD, VAR), digest_size=8).hexdigest()
    return Shape(tuple(atoms), tuple(glue), form, name)


def _joined(atoms: Sequence[bytes], glue: Sequence[bytes]) -> bytes:
    pieces = [b""] * (2 * len(atoms) + 1)
    pieces[0::2] = glue
    pieces[1::2] = atoms
    return b"".join(pieces)


def _without_repeats(atoms: list[bytes], glue: list[bytes]) -> tuple[list[bytes], list[bytes]] | None:
    """Units of atoms, each with the glue before it, at least one a value: what repeats at once goes."""
    pairs = list(zip(glue, atoms, strict=False))
    kept: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        kept.append(pair)
        for size in range(2, MOST_REPEATED + 1):
            unit = kept[-size:]
            if (
                len(kept) >= 2 * size
                and pair == kept[-1 - size]
                and unit == kept[-2 * size : -size]
                and any(atom == VAR for _, atom in unit)
            ):
                del kept[-size:]
                break
    if len(kept) == len(pairs):
        return None
    return [atom for _, atom in kept], [before for before, _ in kept] + glue[-1:]


def widened(form: bytes, place: int) -> bytes:
    """The form with its atom number `place` found to vary."""
    for number, found in enumerate(_PLACES.finditer(form)):
        if number == place:
            return form[: found.start()] + WILD + form[found.end() :]
    raise IndexError(f"no atom {place} in a form of fewer")


def text_of(form: bytes) -> str:
    """How people read it."""
    return form.replace(VAR, SHOWN).replace(WILD, SHOWN).decode("utf-8", "replace")


def is_word(atom: bytes) -> bool:
    """Whether it has letters: a mark or a sign between values says little."""
    return atom.isalpha() or atom.swapcase() != atom or atom >= b"\x80"


def numberless(atom: bytes) -> bytes:
    """The word with its digits alike, empty if it has none."""
    return _DIGIT.sub(b"0", atom) if _DIGIT.search(atom) else b""
