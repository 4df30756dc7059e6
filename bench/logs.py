"""Log templates: how well lines are grouped, how fast, and at which size, beside drain3.

    python -m bench.logs [--data FOLDER] [--lines 1000000] [--peer-lines 20000] [--json OUT]

Accuracy on loghub_2k, one setting for all systems, drain3 at its defaults; what the figures mean is in
bench/grouping.py. Speed in lines a second of processor time on one core, both miners on the same lines in
turn: each system's lines repeated with other digits every time, and random lines of 20,000 templates. drain3
gets the first `--peer-lines` of them only; ours line by line and *limited* the first fifth. Limited is our
miner with the limit of the shipped configuration, for which nearly every line of 20,000 templates is a new
one. Memory is what Python allocates for a miner that holds so many templates.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
from drain3.drain import Drain
from rich.console import Console
from rich.table import Table

from bench.grouping import Agreement, agreement
from config.settings import Detect
from detectors.miner import Miner

TEMPLATES = 20_000
BATCH = 1_000
UNLIMITED = 1_000_000
SYSTEMS = ("content", "event_id", "template_corrected")


def systems(file: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Lines with their true group and template, by system."""
    table = pq.read_table(file, columns=["system", *SYSTEMS]).to_pydict()
    found: dict[str, list[tuple[str, str, str]]] = {}
    for system, *row in zip(table["system"], *(table[name] for name in SYSTEMS), strict=True):
        found.setdefault(system, []).append((row[0], row[1], row[2]))
    return found


def ours(rows: Sequence[tuple[str, str, str]]) -> Agreement:
    miner = Miner(UNLIMITED)
    said = miner.learn_many([line for line, _, _ in rows])
    groups = [miner.current(template.id) for template in said]
    texts = miner.texts()
    return agreement(groups, [texts[g] for g in groups], [g for _, g, _ in rows], [t for _, _, t in rows])


def drain3(rows: Sequence[tuple[str, str, str]]) -> Agreement:
    drain = Drain()
    clusters = [drain.add_log_message(line)[0] for line, _, _ in rows]
    return agreement(
        [c.cluster_id for c in clusters],
        [c.get_template() for c in clusters],
        [g for _, g, _ in rows],
        [t for _, _, t in rows],
    )


def repeated(lines: Sequence[str], many: int) -> Iterator[list[str]]:
    """The lines again and again, each time with other digits, in batches."""
    dice = random.Random(1)
    batch: list[str] = []
    while many > 0:
        digits = list("0123456789")
        dice.shuffle(digits)
        other = str.maketrans("0123456789", "".join(digits))
        for line in lines[:many]:
            batch.append(line.translate(other))
            if len(batch) == BATCH:
                yield batch
                batch = []
        many -= len(lines)
    if batch:
        yield batch


def many_templates(many: int) -> Iterator[list[str]]:
    """Random lines of 20,000 templates: 4 to 16 words, of which a quarter are numbers."""
    dice = random.Random(2)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(dice.choices(letters, k=dice.randint(3, 9))) for _ in range(5_000)]
    templates = []
    for _ in range(TEMPLATES):
        length = dice.randint(4, 16)
        templates.append(
            " ".join("%d" if k and dice.random() < 0.25 else dice.choice(words) for k in range(length))
        )
    for at in range(0, many, BATCH):
        chosen = dice.choices(templates, k=min(BATCH, many - at))
        yield [t % tuple(dice.choices(range(1_000_000), k=t.count("%d"))) for t in chosen]


def speed(learn: Callable[[list[str]], Any], batches: Iterator[list[str]], most: int) -> float:
    """Lines a second of processor time, without the making of the lines."""
    spent, done = 0.0, 0
    for batch in batches:
        begun = time.process_time()
        learn(batch)
        spent += time.process_time() - begun
        done += len(batch)
        if done >= most:
            break
    return done / spent


def one_by_one(learn: Callable[[str], Any]) -> Callable[[list[str]], None]:
    def run(batch: list[str]) -> None:
        for line in batch:
            learn(line)

    return run


def speeds(lines: Callable[[int], Iterator[list[str]]], many: int, peer_lines: int) -> dict[str, float]:
    figures = {
        "ours": speed(Miner(UNLIMITED).learn_many, lines(many), many),
        "ours_single": speed(one_by_one(Miner(UNLIMITED).learn), lines(many // 5), many),
        "ours_limited": speed(Miner(Detect().max_templates_per_service).learn_many, lines(many // 5), many),
        "drain3": speed(one_by_one(Drain().add_log_message), lines(many), peer_lines),
    }
    return {**figures, "ratio": figures["ours"] / figures["drain3"]}


def memory() -> dict[str, float]:
    """Bytes a template, with all that a miner keeps, after the same lines; and in our snapshot."""
    lines = [line for batch in many_templates(TEMPLATES) for line in batch]
    figures: dict[str, float] = {}
    for name in ("ours", "drain3"):
        gc.collect()
        tracemalloc.start()
        if name == "ours":
            miner = Miner(UNLIMITED)
            miner.learn_many(lines)
            count = len(miner)
        else:
            drain = Drain()
            for line in lines:
                drain.add_log_message(line)
            count = len(drain.id_to_cluster)
        gc.collect()
        figures[name] = tracemalloc.get_traced_memory()[0] / count
        figures[f"{name}_templates"] = count
        tracemalloc.stop()
    figures["snapshot"] = len(msgspec.msgpack.encode(miner.export())) / len(miner)
    return figures


def _accuracy(data: dict[str, list[tuple[str, str, str]]], console: Console) -> dict[str, Any]:
    table = Table("system", "miner", "GA", "FGA", "PA", "FTA", "templates", title="accuracy, loghub_2k")
    rows: dict[str, dict[str, Agreement]] = {}
    for system, lines in data.items():
        rows[system] = {"ours": ours(lines), "drain3": drain3(lines)}
        for name, got in rows[system].items():
            table.add_row(
                system, name, *(f"{x:.3f}" for x in got[:4]), str(got.templates), end_section=name == "drain3"
            )
    mean = {}
    for name in ("ours", "drain3"):
        mean[name] = [sum(row[name][k] for row in rows.values()) / len(rows) for k in range(4)]
        table.add_row("mean", name, *(f"{x:.3f}" for x in mean[name]), "")
    console.print(table)
    return {
        "accuracy": {s: {n: a._asdict() for n, a in row.items()} for s, row in rows.items()},
        "mean": mean,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("TOCSIN_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=home, help="folder of the data sets (or TOCSIN_DATA)")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--peer-lines", type=int, default=20_000, help="lines that drain3 is given")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    console = Console(width=110)
    figures: dict[str, Any] = {}
    loads: dict[str, Callable[[int], Iterator[list[str]]]] = {}
    file = options.data / "loghub_2k" / "logs.parquet"
    if file.exists():
        data = systems(file)
        figures |= _accuracy(data, console)
        for system, rows in data.items():
            loads[system] = lambda many, rows=rows: repeated([line for line, _, _ in rows], many)  # type: ignore[misc]
    else:
        console.print(f"loghub_2k: skipped, there is no {file}", highlight=False)
    loads[f"{TEMPLATES:,} templates"] = many_templates
    table = Table(
        "lines of", "ours", "ours, line by line", "ours, limited", "drain3", "ratio",
        title=f"lines a second, {options.lines:,} lines, {options.peer_lines:,} for drain3",
    )  # fmt: skip
    figures["speed"] = {}
    for name, lines in loads.items():
        got = figures["speed"][name] = speeds(lines, options.lines, options.peer_lines)
        table.add_row(
            name,
            *(f"{got[k]:,.0f}" for k in ("ours", "ours_single", "ours_limited", "drain3")),
            f"{got['ratio']:.0f}",
        )
    console.print(table)
    size = figures["memory"] = memory()
    console.print(
        f"bytes a template: ours {size['ours']:,.0f} ({size['ours_templates']:,.0f} templates; "
        f"{size['snapshot']:,.0f} in a snapshot), drain3 {size['drain3']:,.0f} "
        f"({size['drain3_templates']:,.0f} templates)"
    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
