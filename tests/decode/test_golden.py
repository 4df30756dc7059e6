"""What holds of every wire format: its golden records decode whole, and `auto` knows them.

A golden record is a file under `golden/<format>/`: the value of one Kafka record as the real producer
wrote it. A new format gets these tests by putting its records there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import REASONS, BadRecord

GOLDEN = Path(__file__).parent / "golden"
RECORDS = sorted(path for path in GOLDEN.glob("*/*") if path.is_file())
NAMES = [f"{path.parent.name}/{path.name}" for path in RECORDS]


def decoded(path: Path) -> Columns:
    """The rows of a golden record. Its reference time is well after everything in it."""
    columns = Columns(Catalog(4, 1_000))
    columns.reference_ms = 1_900_000_000_000
    formats.DECODERS[path.parent.name](path.read_bytes(), columns)
    columns.finish()
    return columns


def test_every_format_has_a_golden_record() -> None:
    """And every golden record belongs to a format."""
    assert {path.parent.name for path in RECORDS} == {each.name for each in formats.FORMATS}


@pytest.mark.parametrize("path", RECORDS, ids=NAMES)
def test_a_golden_record_is_used_whole(path: Path) -> None:
    """Rows or messages come out, and nothing of it is refused."""
    columns = decoded(path)
    assert sum(columns.counts) + len(columns.messages) > 0
    assert columns.refusals == {}


@pytest.mark.parametrize("path", RECORDS, ids=NAMES)
def test_auto_knows_a_golden_record(path: Path) -> None:
    """Its own format claims it, and no other."""
    assert formats.sniff(path.read_bytes()) == path.parent.name


@settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(RECORDS), data=st.data())
def test_damaged_golden_records_never_break_any_decoder(path: Path, data: st.DataObject) -> None:
    """Cut, overwritten or with a piece twice: each decoder takes or refuses it, and leaves whole rows."""
    raw = bytearray(path.read_bytes()[:4_000])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(raw) - 1)))
        what = data.draw(st.sampled_from(("cut", "byte", "again", "insert")))
        if what == "cut":
            del raw[at : at + data.draw(st.integers(1, 40))]
        elif what == "byte" and raw:
            raw[at] = data.draw(st.integers(0, 255))
        elif what == "again":
            raw[at:at] = raw[at : at + 40]
        else:
            raw[at:at] = data.draw(st.binary(max_size=8))
    for each in formats.FORMATS:
        columns = Columns(Catalog(4, 1_000))
        columns.reference_ms = 1_900_000_000_000
        mark, refused = columns.mark(), None
        try:
            each.decode(bytes(raw), columns)
        except BadRecord as bad:
            columns.undo(mark)
            refused = bad.reason
        columns.finish()
        assert refused is None or refused in REASONS
        assert len(columns.slot) == len(columns.ts) == len(columns.value)
        assert len(columns.h_slot) == len(columns.h_ts) == len(columns.h_sum) == len(columns.h_width)
        assert 8 * sum(columns.h_width) == len(columns.h_count)
        assert len(columns.l_origin) == len(columns.l_ts) == len(columns.bodies) == len(columns.trace_ids)
        assert 16 * len(columns.s_origin) == len(columns.s_trace) == 2 * len(columns.s_span)
    formats.sniff(bytes(raw))
