"""Items become rows, and rows incidents again, without a database."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.incident import Evidence, Hint, Incident, Member, Reason, ServiceRole, TimelineEntry
from sinks.columns import RowError
from sinks.rows import DEAD_LETTERS, INCIDENTS, PREVIEW_BYTES, alert_of, incident_of, row_of
from streams.records.messages import MAX_MS
from tests.sinks.make import T0, alert, dead_letter, incident

_text = st.text(max_size=20)
_ms = st.integers(0, MAX_MS)
_weight = st.floats(allow_nan=False, allow_infinity=False)
_reason = st.builds(Reason, _text, _weight, _text)
_evidence = st.builds(Evidence, _text, _text, _weight, st.none() | _ms, _text)
_member = st.builds(
    Member, _text, _text, _text, _text, _text, _ms, _ms, st.none() | _ms, _weight, _text, _ms,
    st.lists(_reason, max_size=2).map(tuple),
)  # fmt: skip


def _many(one: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(one, max_size=3).map(tuple)


_incidents = st.builds(
    incident,
    id=st.text(min_size=1, max_size=20),
    version=st.integers(0, 2**32 - 1),
    title=_text,
    acknowledged_at=st.none() | _ms,
    resolved_at=st.none() | _ms,
    active_ms=st.integers(0, 2**63 - 1),
    services=_many(st.builds(ServiceRole, _text, _text)),
    members=_many(_member),
    hints=_many(st.builds(Hint, _text, _weight, _many(_evidence), _text)),
    timeline=_many(st.builds(TimelineEntry, _ms, _text, _text, _text)),
    merged_from=_many(_text),
)


@given(_incidents)
def test_an_incident_survives_the_way_into_a_row_and_back(original: Incident) -> None:
    """Nothing of an incident is lost or rounded in its row."""
    row = row_of(original)
    assert incident_of(dict(zip(row.table.columns, row.values, strict=True))) == original


def test_every_field_of_an_incident_has_a_column() -> None:
    """A field added to Incident must be given a column, or it silently never reaches the analyst."""
    covered = {name.split(".")[0] for name in INCIDENTS.columns}
    assert covered == set(Incident.__struct_fields__)


def test_every_field_of_an_alert_has_a_column() -> None:
    """A field added to Alert must be given a column."""
    made = alert()
    assert set(row_of(made).table.columns) == set(made.__struct_fields__)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": -1}, "version is -1"),
        ({"version": 2**32}, "version is 4294967296"),
        ({"started_at": -5}, "started_at is -5"),
        ({"resolved_at": MAX_MS + 1}, "resolved_at is"),
        ({"active_ms": 2**63}, "active_ms is"),
        ({"id": ""}, "id is empty"),
    ],
)
def test_a_number_no_column_holds_is_refused_by_name(change: dict[str, int], named: str) -> None:
    """The error says which field, which value and what was expected."""
    with pytest.raises(RowError, match=named):
        row_of(incident(**change))


def test_an_alert_keeps_labels_as_a_map() -> None:
    """Labels become a map an analyst can index by name."""
    row = row_of(alert(labels=(("route", "/pay"), ("code", "500"))))
    assert row.values[row.table.columns.index("labels")] == {"route": "/pay", "code": "500"}


def test_a_dead_letter_without_broker_time_is_still_a_row() -> None:
    """The broker's -1 (no time) must not get the dead letter itself refused."""
    row = row_of(dead_letter(timestamp_ms=-1))
    assert row.values[DEAD_LETTERS.columns.index("at")] == 0


def test_the_preview_of_a_dead_letter_is_short_and_printable() -> None:
    """Control characters could drive a terminal; they are escaped, and the text is cut."""
    row = row_of(dead_letter(value=b"\x1b[2Jbad\xff" + b"x" * 5_000))
    preview = row.values[DEAD_LETTERS.columns.index("preview")]
    assert preview.startswith("\\x1b[2Jbad\\xff")
    assert len(preview) < 4 * PREVIEW_BYTES
    assert preview.isprintable()


def test_the_preview_of_a_compressed_dead_letter_is_readable() -> None:
    """Large records are kept compressed; people still see how they begin, and damage does no harm."""
    preview = DEAD_LETTERS.columns.index("preview")
    packed = zlib.compress(b'{"resourceMetrics":' + b" " * 900_000)
    assert (
        row_of(dead_letter(value=packed, encoding="zlib")).values[preview].startswith('{"resourceMetrics":')
    )
    assert row_of(dead_letter(value=b"damaged", encoding="zlib")).values[preview] == ""


def test_the_size_of_a_cut_dead_letter_counts_what_was_cut() -> None:
    """An analyst looking for oversized records must find them."""
    row = row_of(dead_letter(value=b"x" * 10, cut=9_000_000))
    assert row.values[DEAD_LETTERS.columns.index("value_bytes")] == 9_000_010


def test_a_row_the_sink_did_not_write_is_refused() -> None:
    """Reading back checks types instead of handing on nonsense."""
    row = row_of(incident(started_at=T0))
    plain = dict(zip(row.table.columns, row.values, strict=True)) | {"version": "seven"}
    with pytest.raises(msgspec.ValidationError, match="version"):
        incident_of(plain)


def test_an_alert_survives_the_way_into_a_row_and_back() -> None:
    """Nothing of an alert is lost in its row."""
    original = alert(labels=(("a", "1"), ("b", "2")), resource=(("host", "x"),), value=1.5, resolved_at=T0)
    row = row_of(original)
    assert alert_of(dict(zip(row.table.columns, row.values, strict=True))) == original
