"""Line by line which template it has, as Parquet. The file appears when it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cli.dataset import parquet
from cli.logfile import Event
from cli.logminer import Parameters
from cli.logstamps import NO_TIME
from cli.logstats import level_name
from cli.scored import Target
from detectors.templates import Template


class LineWriter:
    """Writes rows beside the output as they come, and again, with what templates have become, at the end."""

    def __init__(self, path: Path) -> None:
        self._pq = parquet()
        self._target = Target(path)
        self._spool = path.with_name(path.name + ".lines")

    def __enter__(self) -> Self:
        import pyarrow as pa

        fields = [("line", pa.int64()), ("ts", pa.timestamp("ms", "UTC")), ("severity", pa.string())]
        self._first = pa.schema([*fields, ("id", pa.string()), ("text", pa.string())])
        named = [("template_id", pa.string()), ("template", pa.dictionary(pa.int32(), pa.string()))]
        self._second = pa.schema([*fields, *named, ("params", pa.list_(pa.string()))])
        self._file: Any = self._pq.ParquetWriter(self._spool, self._first, compression="zstd")
        self._done = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._done:
            self._file.close()
        self._spool.unlink(missing_ok=True)
        self._target.end(kind is None and self._done)

    def add(self, events: Sequence[Event], templates: Sequence[Template]) -> None:
        """A batch; `templates` as they are now."""
        import pyarrow as pa

        columns = [
            [event.number for event in events],
            [event.ts if event.ts != NO_TIME else None for event in events],
            [level_name(event.severity) or None for event in events],
            [template.id for template in templates],
            [event.text for event in events],
        ]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, self._first, strict=True)]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._first))

    def end(self, texts: Mapping[str, str], became: Mapping[str, tuple[str, str]]) -> None:
        """Everything was read: write what holds in the end."""
        import pyarrow as pa

        self._file.close()
        parameters = Parameters()
        with self._pq.ParquetWriter(self._target.partial, self._second, compression="zstd") as out:
            for batch in self._pq.ParquetFile(self._spool).iter_batches(50_000):
                number, ts, severity, ids, lines = batch.columns
                now = [became.get(id, (id, texts.get(id, ""))) for id in ids.to_pylist()]
                params = [parameters.of(t, s) for (_, t), s in zip(now, lines.to_pylist(), strict=True)]
                columns = [
                    number,
                    ts,
                    severity,
                    pa.array([id for id, _ in now], pa.string()),
                    pa.array([text for _, text in now], pa.string()).dictionary_encode(),
                    pa.array(params, pa.list_(pa.string())),
                ]
                out.write_table(pa.Table.from_arrays(columns, schema=self._second))
        self._done = True
