"""Where the measuring data lie, and one way to run series through the bank."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from config.settings import Detect
from detectors.bank import Bank, Scores
from streams.records.digest import fingerprint
from streams.records.pages import Series

ROOT = Path(__file__).resolve().parent.parent


def data(name: str) -> Path:
    """Folder of a data set: $TOCSIN_DATA/name or ../shared/data/name. Ends the program if absent."""
    folder = Path(os.environ.get("TOCSIN_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        sys.exit(f"{folder} is absent: set TOCSIN_DATA to the folder that holds {name}/ (skipped)")
    return folder


def scored(ts: npt.NDArray[np.int64], value: npt.NDArray[np.float64], config: Detect | None = None) -> Scores:
    """One nameless series through a fresh bank, as `tocsin score` does."""
    bank = Bank(config or Detect())
    fp = fingerprint("", "", ())
    bank.describe(Series(fp, "", ""))
    return bank.feed_scored(np.full(len(ts), fp, np.uint64), ts, value)[1]


def surprises(ts: npt.NDArray[np.int64], value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bits of surprise of each statistic for one nameless series, a row each."""
    bank = Bank(Detect())
    fp = fingerprint("", "", ())
    bank.describe(Series(fp, "", ""))
    return bank.surprises(np.full(len(ts), fp, np.uint64), ts, value)[1]


def print_json(figures: Any) -> None:
    """The figures for machines, after the table for people."""
    print(json.dumps(figures, indent=1))
