"""What is printed: a paragraph a run, and the summary of all."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from statistics import median

from tests.chaos.run import Verdict
from tests.chaos.watch import Recovery


def line(verdict: Verdict, folder: Path) -> str:
    """The run: its plan, what was done, how long it took to recover, and whether all is well."""
    audit = verdict.audit
    out = [f"seed {verdict.plan.seed}: {verdict.plan}"]
    out += [f"   done     {proof}" for proof in verdict.proofs]
    out += [f"   SKIPPED  {text}" for text in verdict.skipped]
    out += [f"   recovery {_recovery(recovery)}" for recovery in verdict.recoveries]
    if verdict.restarts:
        out.append(f"   started again by their supervisor (worker, exit code): {verdict.restarts}")
    out += [f"   PROBLEM  {text}" for text in verdict.problems + audit.details]
    again = ", ".join(f"{count} {kind}s" for kind, count in sorted(audit.repeated.items())) or "nothing"
    out.append(
        f"   {'pass' if verdict.passed else 'FAIL'}: lost {audit.lost}, doubled {audit.doubled}, unequal "
        f"{audit.unequal}; said twice: {again}; stale last records {audit.stale}; {verdict.seconds:.0f} s"
        + ("" if verdict.passed else f"; see {folder}")
    )
    return "\n".join(out)


def _recovery(recovery: Recovery) -> str:
    return (
        f"{recovery.what}: producing again {_s(recovery.produced_s)}, caught up {_s(recovery.caught_up_s)}, "
        f"stored {_s(recovery.stored_s)}; longest standstill of a shard {recovery.stall_s:.1f} s"
    )


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{max(0.0, seconds):.1f} s"


def summary(verdicts: list[Verdict], seconds: float) -> str:
    """Totals, and recovery by kind of fault: n, p50 and max."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    skipped = Counter(text.split(":")[0].split(" at ")[0] for v in verdicts for text in v.skipped)
    out = [
        "",
        f"runs {len(verdicts)}, passed {len(verdicts) - len(failed)}, "
        f"lost {sum(v.audit.lost for v in verdicts)}, doubled {sum(v.audit.doubled for v in verdicts)}, "
        f"unequal {sum(v.audit.unequal for v in verdicts)}, in {seconds / 60:.1f} min",
        f"faults {sum(len(v.proofs) for v in verdicts)}, skipped {sum(skipped.values())}"
        + (f" ({', '.join(f'{n} x {what}' for what, n in skipped.items())})" if skipped else ""),
    ]
    if failed:
        out.append(f"failed seeds: {', '.join(str(v.plan.seed) for v in failed)}")
    by_kind: defaultdict[str, list[Recovery]] = defaultdict(list)
    for verdict in verdicts:
        for recovery in verdict.recoveries:
            by_kind[recovery.what].append(recovery)
            by_kind["all"].append(recovery)
    out.append(
        f"{'seconds, p50 / max':24}{'n':>5}{'producing':>14}{'caught up':>14}{'stored':>14}{'standstill':>14}"
    )
    for kind in [*sorted(set(by_kind) - {"all"}), *(["all"] if "all" in by_kind else [])]:
        found = by_kind[kind]
        cells = [
            _spread([r.produced_s for r in found]),
            _spread([r.caught_up_s for r in found]),
            _spread([r.stored_s for r in found]),
            _spread([r.stall_s for r in found]),
        ]
        out.append(f"{kind:24}{len(found):>5}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(out)


def _spread(values: list[float | None]) -> str:
    known = [max(0.0, value) for value in values if value is not None]
    return f"{median(known):.1f} / {max(known):.1f}" if known else "-"
