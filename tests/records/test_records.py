"""Digests and pages: what every process must agree on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.records.digest import digest64, digest_hex, fingerprint, shard_of
from streams.records.pages import Histograms, Logs, Origin, Page, Series, Spans, decode_page, encode_page


def test_digests_are_the_same_in_every_process_and_version() -> None:
    """Written down: a change of these numbers would orphan every stored id."""
    assert digest64("a", "b") == 14900983653650854671
    assert digest_hex("a", "b") == "0ff3c227afedcace"
    assert fingerprint("s", "m", [("b", "2"), ("a", "1")]) == 17734608495300509300
    assert shard_of("checkout", 64) == 24


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_parts_never_run_into_each_other(one: list[str], other: list[str]) -> None:
    """("ab", "c") and ("a", "bc") differ."""
    assert (digest64(*one) == digest64(*other)) == (one == other)


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=4), st.randoms())
def test_the_order_of_labels_does_not_matter(labels: dict[str, str], dice: object) -> None:
    """A fingerprint is of the sorted labels."""
    shuffled = list(labels.items())
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fingerprint("s", "m", shuffled) == fingerprint("s", "m", labels.items())


@given(st.text(min_size=1), st.integers(1, 4096))
def test_a_shard_is_within_bounds(owner: str, shards: int) -> None:
    """For any text."""
    assert 0 <= shard_of(owner, shards) < shards


def test_a_page_comes_back_as_it_was() -> None:
    """With every kind of rows in it."""
    page = Page(
        "t/0", 3, 7, 0, "e",
        [Series(1, "s", "m", (("a", "b"),), "ms", 3, (1.0, 2.0), (("host", "h"),))],
        b"12345678", b"12345678", b"12345678",
        Histograms(b"a", b"b", b"c", b"d", b"e"),
        Logs([Origin("s", "i", (("zone", "z"),))], b"o", b"t", b"s", ["body"], [""], ["E"]),
        Spans(["s"], b"1", b"2", b"3", b"4", b"5", b"6"),
        ["t/0", "t/1"],
    )  # fmt: skip
    assert decode_page(encode_page(page)) == page


def test_a_damaged_page_is_a_decode_error() -> None:
    """Readers can tell it from a bug of theirs."""
    with pytest.raises(msgspec.DecodeError):
        decode_page(b"\xc1")
