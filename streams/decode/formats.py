"""The wire formats by name."""

from __future__ import annotations

from collections.abc import Mapping

from streams.decode import correlator_json, otlp_json, otlp_protobuf, tocsin_json
from streams.decode.columns import Decoder

OTLP, OTLP_JSON, TOCSIN, CHANGES, ACTIONS = "otlp", "otlp-json", "tocsin", "changes", "actions"

DECODERS: Mapping[str, Decoder] = {
    OTLP: otlp_protobuf.decode,
    OTLP_JSON: otlp_json.decode,
    TOCSIN: tocsin_json.decode,
    CHANGES: correlator_json.changes,
    ACTIONS: correlator_json.actions,
}

FOR_CORRELATOR = frozenset((CHANGES, ACTIONS))
"""formats that carry no telemetry: their topics have no part in the shards' watermarks"""

AUTO = "auto"
