"""What a worker's memory is made of: run inside it, written down when asked (SIGUSR1).

    python -m bench.breakdown FILE worker --config ...

is `tocsin worker --config ...` that answers each SIGUSR1 with one more line of JSON in FILE: MB resident,
what malloc and Python's own allocator hold and have free, the structures that grow with the series, and the
parts of the address space. Looking takes seconds and memory of its own: not for production.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

MB = 1024 * 1024
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, CodeType, FrameType)


class _MallInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def resident() -> dict[str, float]:
    """MB from /proc: all, and what is no file's."""
    text = Path("/proc/self/smaps_rollup").read_text()
    found = {name: re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE) for name in ("Rss", "Anonymous")}
    return {name.lower(): int(match[1]) / 1024 for name, match in found.items() if match}


def allocators() -> dict[str, float]:
    """MB that glibc's malloc (with what it maps) and Python's small-object allocator have in use and free."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _MallInfo
    info = libc.mallinfo2()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        sys._debugmallocstats()
        os.dup2(kept, 2)
        os.close(kept)
        file.seek(0)
        text = file.read().decode()
    used = re.search(r"bytes in allocated blocks\s+=\s+([\d,]+)", text)
    held = re.search(r"arenas \* \d+ bytes/arena\s+=\s+([\d,]+)", text)
    small = {
        name: int(match[1].replace(",", "")) / MB if match else -1
        for name, match in (("python_used", used), ("python_held", held))
    }
    return {
        "malloc_used": info.uordblks / MB,
        "malloc_free": info.fordblks / MB,
        "malloc_mapped": info.hblkhd / MB,
        **small,
    }


def resident_bytes(array: np.ndarray[Any, Any]) -> int:
    """Bytes of an array that have ever been touched: large ones are mapped, and zero pages cost nothing."""
    if array.base is not None:
        return 0
    if array.nbytes < 4 * mmap.PAGESIZE:
        return array.nbytes
    start = array.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
    pages = -(-(array.ctypes.data + array.nbytes - start) // mmap.PAGESIZE)
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(start // mmap.PAGESIZE * 8)
        entries = np.frombuffer(file.read(pages * 8), np.uint64)
    return int(np.count_nonzero(entries >> np.uint64(63))) * mmap.PAGESIZE


def size(things: Iterable[Any], seen: set[int]) -> tuple[int, int]:
    """(bytes of arrays, bytes of Python objects) reachable from `things` and not `seen` before."""
    arrays = objects = 0
    waiting = list(things)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _CODE):
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            arrays += resident_bytes(thing)
            if thing.base is not None:
                waiting.append(thing.base)
            continue
        objects += sys.getsizeof(thing, 0)
        waiting += gc.get_referents(thing)
    return arrays, objects


def structures() -> Iterator[tuple[str, float, float, int]]:
    """(name, MB of arrays, MB of objects, how many) of what grows with the series; what is shared counts for
    the first."""
    from detectors.bank import Bank
    from detectors.numbers import Numbers
    from detectors.shard import ShardCore
    from streams.agents.transport import Chunk
    from streams.decode.catalog import Catalog
    from streams.decode.ingest import IngestCore
    from streams.decode.shortcut import Shortcut
    from streams.records import interned

    # gc.freeze hides objects from gc.get_objects: unfreeze to look.
    gc.unfreeze()
    by_type: dict[type, list[Any]] = {}
    for thing in gc.get_objects():
        by_type.setdefault(type(thing), []).append(thing)
    seen: set[int] = {id(by_type)}

    def row(name: str, things: list[Any]) -> tuple[str, float, float, int]:
        arrays, objects = size(things, seen)
        return name, arrays / MB, objects / MB, len(things)

    chunks = by_type.get(Chunk, [])
    yield row("fetched chunks", chunks)
    yield row("interned", [v for k, v in vars(interned).items() if isinstance(v, dict) and k[:2] != "__"])
    catalogs = by_type.get(Catalog, [])
    yield row(
        "series descriptions", [c.series.entries for c in catalogs] + [c.origins.entries for c in catalogs]
    )
    yield row("key shortcuts", by_type.get(Shortcut, []))
    yield row("raw keys", [(c.groups, c.senders) for c in catalogs])
    yield row("catalogs otherwise", catalogs)
    yield row("pagers", [core._pager for core in by_type.get(IngestCore, [])])
    shards = by_type.get(ShardCore, [])
    yield row("rows held", [s.held for s in shards])
    yield row("descriptions pending", [s._pending for s in shards] + [s.engine.admission for s in shards])
    yield row("bank arrays", [b._arrays for b in by_type.get(Bank, [])])
    yield row("bank otherwise", by_type.get(Bank, []))
    yield row("series tables", [n.table for n in by_type.get(Numbers, [])])
    yield row("numbers otherwise", by_type.get(Numbers, []))
    yield row("shards otherwise", shards)


def mappings(most: int = 12) -> Iterator[tuple[str, float, float, int]]:
    """The parts of the address space with most MB resident, by name; those without one by their size."""
    found: dict[str, tuple[float, int]] = {}
    name = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)", line)
        if head:
            size = int(head[2], 16) - int(head[1], 16)
            name = Path(head[3]).name or f"anonymous, {1 << max(12, (size - 1).bit_length()):>11,}"
        elif line.startswith("Rss:"):
            mb, count = found.get(name, (0.0, 0))
            found[name] = mb + int(line.split()[1]) / 1024, count + 1
    for name, (mb, count) in sorted(found.items(), key=lambda pair: -pair[1][0])[:most]:
        yield name, 0.0, mb, count


def report() -> dict[str, Any]:
    """All of it."""
    found = {**resident(), **allocators()}
    mapped = list(mappings())
    gc.collect()
    return {**found, "structures": [*structures(), *mapped]}


def main() -> None:
    file = Path(sys.argv[1])

    def tell(*_: Any) -> None:
        line = json.dumps(report())
        with file.open("a") as out:
            out.write(line + "\n")

    signal.signal(signal.SIGUSR1, tell)
    from cli.main import main as tocsin

    tocsin(sys.argv[2:])


if __name__ == "__main__":
    main()
