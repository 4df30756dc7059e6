"""Public labelled data beside the checkout, for tests that need it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def public_data(name: str) -> Path:
    """Folder of a data set in `$TOCSIN_DATA`, else in `../shared/data`. Skips where it is absent."""
    folder = Path(os.environ.get("TOCSIN_DATA") or ROOT.parent / "shared" / "data") / name
    if not folder.is_dir():
        pytest.skip(f"no {name} at {folder}: set TOCSIN_DATA to the folder that holds the public data sets")
    return folder
