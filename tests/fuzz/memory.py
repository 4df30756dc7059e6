"""How much memory this process takes."""

from __future__ import annotations

import gc
import re
from pathlib import Path

_STATUS = Path("/proc/self/status")


def _field(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def resident() -> int:
    """Bytes of RSS."""
    return _field("VmRSS")


def peak() -> int:
    """Most bytes of RSS so far, since `forget_peak`."""
    return _field("VmHWM")


def forget_peak() -> None:
    """Count the peak from here on."""
    Path("/proc/self/clear_refs").write_text("5")


def objects() -> int:
    """Python objects alive."""
    gc.collect()
    return len(gc.get_objects())
