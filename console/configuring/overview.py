"""What is set, where it comes from, and what is wrong with it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from config.catalogue_files import Reading
from config.load import ENVIRONMENT, WORKERS
from config.settings import Settings
from config.suppression import Maintenance, Silence
from console.configuring.duties import OnDuty
from correlator.conflicts import KINDS, Conflict
from correlator.silencing import standing

MOST = 50


class Finding(NamedTuple):
    """Something one should look at."""

    grave: bool
    where: str
    text: str
    link: str = ""


def variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Environment variables that override a key, with the key. Their values are not shown."""
    found = [(name, f"{section}.{key}") for name, (section, key) in ENVIRONMENT.items() if environ.get(name)]
    return [*found, *([(WORKERS, "console.workers")] if environ.get(WORKERS) else [])]


def findings(
    settings: Settings,
    reading: Reading,
    conflicts: Sequence[Conflict],
    schedules: Sequence[OnDuty],
    now_ms: int,
) -> list[Finding]:
    """What is wrong first, then what may be."""
    found = [Finding(True, "catalogue", text) for text in reading.errors[:MOST]]
    found += [
        Finding(True, one.key, one.trouble, "/configuration/oncall") for one in schedules if one.trouble
    ]
    found += [
        Finding(True, one.key, f"nobody is on call by schedule {one.name}", "/configuration/oncall")
        for one in schedules
        if one.duty is not None and not one.duty.people
    ]
    found += [Finding(False, "catalogue", text) for text in reading.warnings[:MOST]]
    counts = Counter(one.kind for one in conflicts)
    found += [
        Finding(
            False,
            "topology",
            f"{counts[kind]} × {KINDS[kind]}",
            f"/configuration/topology?kind={kind}#conflicts",
        )
        for kind in KINDS
        if counts[kind]
    ]
    found += _entries(reading)
    held: tuple[tuple[str, Sequence[Silence | Maintenance]], ...] = (
        ("correlate.silences", settings.correlate.silences),
        ("correlate.maintenance", settings.correlate.maintenance),
    )
    for key, windows in held:
        for i, window in enumerate(windows):
            if standing("active", window, now_ms) == "over":
                found.append(Finding(False, f"{key}[{i}]", f"{window.name} is over: it can be removed"))
            elif not window.until and not window.rrule:
                found.append(Finding(False, f"{key}[{i}]", f"{window.name} never ends"))
    if settings.respond.policies and not any(not p.teams for p in settings.respond.policies):
        found.append(
            Finding(False, "respond.policies", "no policy is for all teams: others are not escalated")
        )
    return found


def _entries(reading: Reading) -> list[Finding]:
    """What the catalogue does not say of the services that matter most."""
    entries = reading.catalogue.services.values()
    found = []
    for words, missing in (
        ("no owner", [one.service for one in entries if not one.owner]),
        ("no tier", [one.service for one in entries if not one.tier]),
        ("tier 1, no runbook", [one.service for one in entries if one.tier == 1 and not one.runbook]),
    ):
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            found.append(Finding(False, "catalogue", f"{words}: {', '.join(missing[:5])}{more}"))
    return found
