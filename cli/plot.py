"""Pictures of scored series: values, band, alerts, labels, and the score in a strip below.

Colours are Okabe and Ito's, told apart by the colour-blind; line style, hatching and markers say the
same again, so that a picture survives a black-and-white printer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cli.errors import CliError
from cli.output import some
from cli.plotdata import Curve, alert_spans
from detectors.gate import WARMING
from streams.records.pages import F64

SUFFIXES = (".png", ".svg", ".pdf")
PANELS = 6
"""series in one picture"""
MOST_PICTURES = 50
WIDTH, PANEL, TOP = 11.0, 2.9, 0.75
"""inches"""
GAP = 5.0
"""a line is broken where nothing came for so many of its usual intervals"""
TITLE_CHARS = 90
BLUE, SKY, VERMILLION, GREEN, ORANGE = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#E69F00"
YELLOW = "#F0E442"


class Look(NamedTuple):
    """Colours of the paper."""

    paper: str
    ink: str
    faint: str
    value: str
    expected: str


LIGHT = Look("#FFFFFF", "#222222", "#BBBBBB", "#333333", BLUE)
DARK = Look("#16191D", "#E6E6E6", "#4A4F55", "#DDDDDD", YELLOW)


def matplotlib() -> Any:
    """The plotting library without a window, or a clear word on how to get it."""
    try:
        import matplotlib as module
    except ImportError:
        raise CliError("--plot needs matplotlib", "pip install 'tocsin[plot]'") from None
    module.use("Agg")
    return module


def targets(path: Path) -> int:
    """How many series go into one picture at `path`: a folder has one a picture."""
    return PANELS if path.suffix.lower() in SUFFIXES else MOST_PICTURES


def check_target(path: Path) -> None:
    """Before the work begins. Raises `CliError`."""
    matplotlib()
    if path.suffix and path.suffix.lower() not in SUFFIXES and not path.is_dir():
        raise CliError(
            f"--plot {path}: unknown extension {path.suffix!r}",
            f"name a folder, or one of {', '.join(SUFFIXES)}",
        )
    if path.suffix.lower() in SUFFIXES and not path.parent.is_dir():
        raise CliError(f"folder {path.parent} does not exist", "create it first")
    if path.suffix.lower() not in SUFFIXES and path.exists() and not path.is_dir():
        raise CliError(f"--plot {path} is a file", "name a folder, or a .png")


def draw(curves: Sequence[Curve], path: Path, title: str, dark: bool = False) -> list[Path]:
    """One picture of all, or one a series in a folder; the files written."""
    if not curves:
        return []
    if path.suffix.lower() in SUFFIXES:
        _picture(curves, path, title, DARK if dark else LIGHT)
        return [path]
    path.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for curve in curves:
        name = file_name(curve.name or title, {one.stem for one in written})
        written.append(path / f"{name}.png")
        _picture([curve], written[-1], title, DARK if dark else LIGHT)
    return written


def file_name(name: str, taken: set[str]) -> str:
    """A safe name for a series' picture, made distinct by a number."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:100] or "series"
    found, n = plain, 1
    while found in taken:
        n += 1
        found = f"{plain}-{n}"
    return found


def shortened(text: str, most: int = TITLE_CHARS) -> str:
    """The beginning and the end of a long name."""
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[-(most - 1 - head) :]}"


def _picture(curves: Sequence[Curve], path: Path, title: str, look: Look) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colours = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    style: Any = {
        "font.size": 9,
        "axes.edgecolor": look.faint,
        "hatch.linewidth": 0.6,
        "text.parse_math": False,
        **dict.fromkeys(colours, look.ink),
    }
    with rc_context(style):
        figure: Any = Figure(
            figsize=(WIDTH, PANEL * len(curves) + TOP), facecolor=look.paper, layout="constrained"
        )
        figure.get_layout_engine().set(h_pad=0.06, hspace=0.02)
        panels = figure.subfigures(len(curves), 1, squeeze=False)[:, 0]
        handles: dict[str, Any] = {}
        for panel, curve in zip(panels, curves, strict=True):
            panel.set_facecolor(look.paper)
            handles |= _panel(panel, curve, curve.name or title, look)
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper center",
            ncols=len(handles),
            frameon=False,
            labelcolor=look.ink,
        )
        # No date of making inside: equal tables give equal pictures.
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
        figure.savefig(path, dpi=120, facecolor=look.paper, metadata=metadata)


def _panel(panel: Any, curve: Curve, title: str, look: Look) -> dict[str, Any]:
    """Values above, score below; returns the legend's entries."""
    top, strip = panel.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    for axes in (top, strip):
        axes.set_facecolor(look.paper)
        axes.spines[["top", "right"]].set_visible(False)
    spans = alert_spans(curve)
    times = _times(curve)
    told = some(curve.alerts, "alert")
    joined = f", a point for about {curve.joined:,} rows" if curve.joined > 1 else ""
    top.set_title(shortened(title), loc="left", fontsize=10, fontweight="bold", color=look.ink)
    top.set_title(f"{told}{joined}", loc="right", fontsize=8, color=look.ink)
    handles = _values(top, curve, times, look)
    if len(times):
        handles |= _marks(top, curve, times, spans, look)
    _score(strip, curve, times, look)
    _time_axis(strip)
    top.margins(x=0.01)
    return handles


def _times(curve: Curve) -> Any:
    return np.array(curve.ts, "datetime64[ms]")


def _breaks(curve: Curve) -> Any:
    """Points before which there is a gap."""
    if len(curve.ts) < 3:
        return np.empty(0, np.int64)
    steps = np.diff(curve.ts)
    return np.flatnonzero(steps > GAP * np.median(steps)) + 1


def _broken(values: F64, breaks: Any) -> F64:
    return np.insert(values, breaks, np.nan)


def _values(axes: Any, curve: Curve, times: Any, look: Look) -> dict[str, Any]:
    breaks = _breaks(curve)
    when = np.insert(times, breaks, times[breaks - 1]) if len(breaks) else times
    low, high = _broken(curve.low, breaks), _broken(curve.high, breaks)
    # A few points are drawn as such: a line between them says more than is known.
    marker = "." if len(times) <= 120 else None
    if curve.joined > 1:
        handle = axes.fill_between(when, low, high, color=look.value, linewidth=0.7, label="value", zorder=3)
    else:
        (handle,) = axes.plot(
            when, high, color=look.value, linewidth=0.8, marker=marker, markersize=3, zorder=3
        )
    _limits(axes, curve)
    bottom, top = axes.get_ylim()
    judged = np.isfinite(curve.expected)
    lower = np.where(np.isfinite(curve.lower) | ~judged, curve.lower, bottom)
    upper = np.where(np.isfinite(curve.upper) | ~judged, curve.upper, top)
    band = axes.fill_between(
        when,
        _broken(np.clip(lower, bottom, top), breaks),
        _broken(np.clip(upper, bottom, top), breaks),
        color=SKY,
        alpha=0.35,
        linewidth=0,
        zorder=1,
    )
    (expected,) = axes.plot(
        when,
        _broken(curve.expected, breaks),
        color=look.expected,
        linewidth=0.9,
        linestyle=(0, (4, 2)),
        zorder=4,
    )
    return {"value": handle, "expected": expected, "band": band}


def _limits(axes: Any, curve: Curve) -> None:
    """Room for the values, and for as much of the band as lies near them."""
    if not len(curve.ts):
        return
    low, high = float(curve.low.min()), float(curve.high.max())
    size = (high - low) or max(1.0, abs(high)) * 0.1
    band_low = np.nanquantile(curve.lower, 0.02) if np.isfinite(curve.lower).any() else low
    band_high = np.nanquantile(curve.upper, 0.98) if np.isfinite(curve.upper).any() else high
    low = min(low, max(float(band_low), low - 0.5 * size))
    high = max(high, min(float(band_high), high + 0.5 * size))
    room = max(high - low, size)
    axes.set_ylim(low - 0.06 * room, high + 0.14 * room)


def _marks(axes: Any, curve: Curve, times: Any, spans: list[tuple[int, int]], look: Look) -> dict[str, Any]:
    """Open alerts, labelled stretches and the warm-up."""
    handles: dict[str, Any] = {}
    step = np.timedelta64(int(np.median(np.diff(curve.ts))) if len(curve.ts) > 1 else 1_000, "ms")
    for first, last in spans:
        handles["alert open"] = axes.axvspan(
            times[first], times[last] + step, color=VERMILLION, alpha=0.22, linewidth=0, zorder=0
        )
    if spans:
        firsts = [first for first, _ in spans]
        handles["fires"] = axes.scatter(
            times[firsts],
            curve.high[firsts],
            marker="v",
            s=36,
            color=VERMILLION,
            edgecolor=look.paper,
            zorder=5,
        )
    if curve.label.any():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], curve.label.astype(np.int8), [0]])))
        for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            handles["label"] = axes.axvspan(
                times[first], times[after - 1] + step, ymin=0.93, ymax=0.99,
                facecolor="none", edgecolor=GREEN, hatch="////", linewidth=1.0, zorder=4,
            )  # fmt: skip
    warming = np.flatnonzero(curve.state == WARMING)
    if len(warming):
        handles["warm-up"] = axes.axvspan(
            times[0], times[warming[-1]] + step, color=look.faint, alpha=0.35, linewidth=0, zorder=0
        )
    return handles


def _score(axes: Any, curve: Curve, times: Any, look: Look) -> None:
    breaks = _breaks(curve)
    when = np.insert(times, breaks, times[breaks - 1]) if len(breaks) else times
    score = _broken(np.nan_to_num(curve.score), breaks)
    axes.fill_between(when, 0, score, color=ORANGE, alpha=0.85, linewidth=0.4)
    axes.axhline(curve.fire, color=look.ink, linewidth=0.7, linestyle=":")
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 1])
    axes.set_ylabel("score", rotation=0, ha="right", va="center", fontsize=8)


def _time_axis(axes: Any) -> None:
    from matplotlib import dates

    module: Any = dates
    locator = module.AutoDateLocator(minticks=4, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(module.ConciseDateFormatter(locator, tz=UTC))
    axes.annotate(
        "UTC",
        (0, 0),
        (-6, -11),
        "axes fraction",
        textcoords="offset points",
        fontsize=7,
        ha="right",
        va="top",
    )
