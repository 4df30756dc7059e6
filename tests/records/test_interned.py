"""Equal descriptions are one object, and what is shared is bounded."""

from __future__ import annotations

import pytest

from streams.records import interned
from streams.records.pages import Kind, Origin, Series, decode_page, encode_page
from streams.records.pages import Page as _Page


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_sets", "_pairs", "_bounds", "_keys"):
        monkeypatch.setattr(interned, name, {})


def described(metric: str = "m", route: str = "/pay") -> Series:
    """A series as it comes out of a page: nothing of it is shared with another."""
    labels = (("method", "GET"), ("route", route))
    series = Series(
        7, "cart", metric, labels, "ms", Kind.HISTOGRAM, (0.5, 1.0), (("host", "a"), ("zone", "b"))
    )
    return decode_page(encode_page(_Page("in/0", 1, 0, series=[series]))).series[0]


def test_a_shared_series_says_what_the_given_one_says() -> None:
    """In every field."""
    assert interned.series(described()) == described()


def test_series_of_equal_labels_share_them() -> None:
    """So do service, unit, bounds and resource."""
    one, other = interned.series(described("a")), interned.series(described("b"))
    for field in ("service", "labels", "unit", "bounds", "resource"):
        assert getattr(one, field) is getattr(other, field), field


def test_different_label_sets_share_their_pairs() -> None:
    """And every pair its texts."""
    one, other = interned.series(described()), interned.series(described(route="/buy"))
    assert one.labels is not other.labels
    assert one.labels[0] is other.labels[0]
    assert one.labels[1][0] is other.labels[1][0]


def test_origins_share_their_context() -> None:
    """Equal instances too."""
    one, other = (interned.origin(Origin("".join(["ca", "rt"]), "i" * n, (("host", "a"),))) for n in (1, 2))
    assert one.service is other.service
    assert one.resource is other.resource
    assert other == Origin("cart", "ii", (("host", "a"),))


def test_raw_keys_share_their_parts() -> None:
    """Tuples of the same bytes are one tuple; tuples of some of them have those in common."""
    one = interned.key(tuple(bytes([n]) * 40 for n in range(3)))
    other = interned.key(tuple(bytes([n]) * 40 for n in range(3)))
    third = interned.key((b"x" * 40, bytes([2]) * 40))
    assert one is other
    assert isinstance(one, tuple)
    assert isinstance(third, tuple)
    assert third[1] is one[2]
    assert third == (b"x" * 40, bytes([2]) * 40)


def test_what_is_shared_is_bounded_and_stays_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound sharing begins anew."""
    monkeypatch.setattr(interned, "MOST", 4)
    for n in range(50):
        given = described(f"m{n}", f"/{n}")
        assert interned.series(given) == given
        assert interned.key((b"k%d" % n, n)) == (b"k%d" % n, n)
        assert len(interned._sets) <= 4
        assert len(interned._pairs) <= 4 + 2  # a set that is begun is finished
        assert len(interned._bounds) <= 4
        assert len(interned._keys) <= 4 + 1


def test_series_sort_by_fingerprint_first() -> None:
    """The order in which descriptions of one moment take effect."""
    a, b = Series(1, "z", "z"), Series(2, "a", "a")
    assert sorted([b, a]) == [a, b]
    assert sorted([Series(1, "b", "m"), Series(1, "a", "m")])[0].service == "a"
