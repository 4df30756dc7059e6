"""Joint behaviour on synthetic services: what it finds, false alerts, and what learning costs.

    python -m bench.joint [--services 16] [--windows 2500] [--seed 1000]

Requests, CPU, network and memory follow one load, beside them series that follow nothing: drifting,
heavy-tailed, counting. In the last 20 windows CPU follows another load, off by 50 of 60 to 140 requests/s.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import numpy.typing as npt

from config.settings import Detect, Joint
from detectors import joint
from detectors.alert import Alert
from detectors.control import Controls
from detectors.forest import paths
from detectors.relations import describe, fit
from streams.records.digest import fingerprint
from streams.records.pages import Series

T0 = 1_700_000_010_000
FAULT = 20
"""windows"""
TOGETHER = ("requests", "cpu", "network", "memory")
F64 = npt.NDArray[np.float64]


def service(seed: int, windows: int, alone: int, off: float) -> F64:
    """Values by window and series."""
    dice = np.random.default_rng(seed)
    load = 100 + 40 * np.sin(np.arange(windows) / 90.0 + seed) + dice.normal(0, 4, windows)
    other = load.copy()
    other[-FAULT:] += np.where(load[-FAULT:] > 100, -off, off)
    columns = [
        load + dice.normal(0, 3, windows),
        0.5 * other + 5 + dice.normal(0, 1.5, windows),
        2 * load + dice.normal(0, 8, windows),
        300 + 0.2 * load + dice.normal(0, 6, windows),
    ]
    for i in range(alone):
        if i % 3 == 0:
            column = dice.normal(0, 1, windows)
            for at in range(1, windows):
                column[at] += 0.9 * column[at - 1]
        elif i % 3 == 1:
            column = np.exp(dice.normal(0, 0.5, windows))
        else:
            column = dice.poisson(3, windows).astype(float)
        columns.append(column)
    return np.array(columns).T


def play(values: F64, config: Joint) -> list[Alert]:
    """All alert versions of one service, a vector a window."""
    detect = Detect(joint=config)
    one = joint.Joint(detect, Controls(detect).of)
    names = [*TOGETHER, *(f"alone.{i}" for i in range(values.shape[1] - len(TOGETHER)))]
    for name in names:
        one.describe(Series(fingerprint("shop", name, ()), "shop", name), False, T0)
    fps = np.array([fingerprint("shop", name, ()) for name in names], np.uint64)
    alerts: list[Alert] = []
    for i, row in enumerate(values):
        at = T0 + config.window_ms * i
        alerts += [alert for _, alert in one.before(at)]
        one.feed(fps, np.full(len(fps), at), row)
    return alerts + [alert for _, alert in one.before(T0 + config.window_ms * (len(values) + 1))]


def detection(alone: int, off: float, options: argparse.Namespace, config: Joint) -> str:
    found, late, false = 0, [], 0
    onset = T0 + config.window_ms * (options.windows - FAULT)
    for seed in range(options.seed, options.seed + options.services):
        alerts = play(service(seed, options.windows, alone, off), config)
        first = [alert.detected_at for alert in alerts if alert.version == 1]
        false += sum(at < onset for at in first)
        hits = [at for at in first if at >= onset]
        found += bool(hits)
        late += [(at - onset) // config.window_ms + 1 for at in hits[:1]]
    days = options.services * (options.windows - FAULT) * config.window_ms / 86_400_000
    when = f"in {np.median(late):.0f} windows" if late else ""
    return (
        f"{found:>3} of {options.services} found {when:<13} {false} false alerts in {days:.1f} service-days"
    )


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=16)
    parser.add_argument("--windows", type=int, default=2_500)
    parser.add_argument("--seed", type=int, default=1_000)
    options = parser.parse_args()
    config = Joint(enabled=True)
    vectors = service(1, config.memory_windows, config.max_series - len(TOGETHER), 0.0).astype(np.float32)
    before = memory_mb()
    fit(vectors, config.trees, 1)
    print(f"first fit (imports, compiles): {memory_mb() - before:.0f} MB more")
    began = time.process_time()
    for _ in range(10):
        model = fit(vectors, config.trees, 1)
    print(f"a fit: {100 * (time.process_time() - began):.0f} ms")
    assert model is not None
    row = vectors[-1:].astype(np.float64)
    paths(model.forest, describe(model.scale, row)[0])
    began = time.process_time()
    for _ in range(10_000):
        paths(model.forest, describe(model.scale, row)[0])
    print(f"a vector scored: {100 * (time.process_time() - began):.1f} µs")
    for alone in (4, 12):
        for off in (25.0, 50.0):
            text = detection(alone, off, options, config)
            print(f"4 together + {alone:>2} alone, CPU off by load {off:.0f}: {text}", flush=True)


if __name__ == "__main__":
    main()
