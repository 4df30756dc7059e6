"""Cases of `tocsin diagnose`, cut out of a data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from cli.dataset import DataSet, LogLines, Metrics
from cli.errors import CliError
from correlator.diagnose import Case
from correlator.logmix import Line, template
from correlator.losses import Trace
from correlator.requests import ids

DEFAULT_WINDOW_MS = 600_000
"""length of a case that does not say when it ended"""


class CaseFile(msgspec.Struct):
    """One entry of the file of cases. Times in ms UTC."""

    id: str
    run: str
    start_ms: int | None = None
    """when not known: ten minutes before the end"""
    end_ms: int | None = None
    baseline_run: str = ""
    """another run that holds the quiet period; by default the run itself, before the start"""
    symptom: str = ""
    """service where it was noticed"""


def read_cases(path: Path) -> list[CaseFile]:
    """Raises `CliError` naming what is wrong with the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[CaseFile])
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}", "check the path") from None
    except msgspec.DecodeError as error:
        raise CliError(
            f"{path}: {error}",
            "expected a JSON list of {id, run, start_ms, end_ms?, baseline_run?, symptom?}",
        ) from None


@dataclass(slots=True)
class Cutter:
    """Cuts cases out of one data set; a run is read once."""

    data: DataSet
    _metrics: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict)
    _lines: dict[str, dict[str, list[Line]]] = field(default_factory=dict)
    _raw: dict[str, Metrics] = field(default_factory=dict)

    def cut(self, case: CaseFile) -> Case:
        """The case's window beside its normal. Raises `CliError` for a run the data set does not have."""
        for run in (case.run, case.baseline_run or case.run):
            if run not in self.data.runs:
                raise CliError(
                    f"case {case.id}: {self.data.folder} has no run {run!r}",
                    f"it has: {', '.join(self.data.runs[:10])}",
                )
        start, end = _window(case)
        lines = self._logs(case.run)
        quiet = self._logs(case.baseline_run) if case.baseline_run else lines
        far = 1 << 62 if case.baseline_run else start
        return Case(
            start_ms=start,
            end_ms=end,
            traces=self._traces(case, start, end),
            normal_lines={s: [x for x in of if x.ts < far] for s, of in quiet.items()},
            window_lines={s: [x for x in of if start <= x.ts <= end] for s, of in lines.items()},
            edges=self.data.edges(case.run),
            changes=self.data.changes(case.run),
            symptom=case.symptom,
        )

    def _traces(self, case: CaseFile, start: int, end: int) -> list[Trace]:
        series = self._series(case.run)
        quiet = self._series(case.baseline_run) if case.baseline_run else series
        empty = np.empty(0)
        traces = []
        for described in self._raw[case.run].series:
            ts, values = series[described.fp]
            first, last = np.searchsorted(ts, (start, end + 1))
            if case.baseline_run:
                normal, ended = quiet.get(described.fp, (empty, empty))[1], False
            else:
                normal, ended = values[:first], first == last and self._fresh(ts[:first], start)
            window = tuple(ts[first:last].tolist())
            traces.append(Trace(described, normal, window, values[first:last], ended))
        return traces

    @staticmethod
    def _fresh(ts: np.ndarray, at_ms: int) -> bool:
        """A series that reported steadily, up to three of its intervals before `at_ms`."""
        if len(ts) < 10:
            return False
        return bool(at_ms - ts[-1] <= 3 * float(np.median(np.diff(ts[-50:]))))

    def _series(self, run: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        if run not in self._metrics:
            raw = self.data.metrics(run)
            order = np.argsort(raw.index, kind="stable")
            bounds = np.searchsorted(raw.index[order], np.arange(len(raw.series) + 1))
            self._raw[run] = raw
            self._metrics[run] = {
                s.fp: (raw.ts[order[a:b]], raw.value[order[a:b]])
                for s, a, b in zip(raw.series, bounds[:-1], bounds[1:], strict=True)
            }
        return self._metrics[run]

    def _logs(self, run: str) -> dict[str, list[Line]]:
        if run not in self._lines:
            raw: LogLines = self.data.logs(run)
            found: dict[str, list[Line]] = {}
            rows = zip(raw.ts.tolist(), raw.severity.tolist(), raw.bodies, raw.origin.tolist(), strict=True)
            for ts, severity, body, origin in rows:
                line = Line(ts, severity, template(body), *ids(body))
                found.setdefault(raw.origins[origin].service, []).append(line)
            self._lines[run] = found
        return self._lines[run]


def _window(case: CaseFile) -> tuple[int, int]:
    if case.start_ms is not None:
        return case.start_ms, case.end_ms if case.end_ms is not None else case.start_ms + DEFAULT_WINDOW_MS
    if case.end_ms is None:
        raise CliError(f"case {case.id} has neither start_ms nor end_ms", "give at least one of them")
    return case.end_ms - DEFAULT_WINDOW_MS, case.end_ms
