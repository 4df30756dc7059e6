"""Rankers of time: who began first, and what was changed just before."""

from __future__ import annotations

from bisect import bisect_right

from correlator.incident import Evidence
from correlator.rankers.protocol import Field
from correlator.suspect import clock, onset_of


class OnsetOrder:
    """Who began before others; by how much its own signals say."""

    name, weight = "onset", 0.15

    def look(self, field: Field) -> None:
        suspects, onsets = field.suspects, field.onsets
        if len(onsets) < 2:
            return
        ordered = sorted((at, service) for service, at in onsets.items())
        times = [at for at, _ in ordered]
        first, last = times[0], times[-1]
        for suspect in suspects:
            at = onsets.get(suspect.service)
            if at is None or last == first:
                continue
            weight = self.weight * suspect.standing * (1 - (at - first) / (last - first))
            if weight > 0:
                later = bisect_right(times, at)
                named = ", ".join(f"{s} ({clock(t)})" for t, s in ordered[later : later + 3])
                text = f"began {clock(at)}, before {named}"
                suspect.evidence.append(Evidence("onset", text, round(weight, 4), at))


class Changed:
    """The newest change of a service shortly before the trouble; worth most just before."""

    name, weight = "change", 0.35

    def look(self, field: Field) -> None:
        scene, suspects = field.scene, field.suspects
        changes = sorted(scene.changes, key=lambda c: (c.ts, c.id))
        start = min((a.started_at for a in scene.alerts), default=0)
        for suspect in suspects:
            own = onset_of(suspect)
            at = start if own is None else own
            best: Evidence | None = None
            for change in changes:
                if change.service != suspect.service:
                    continue
                # A minute of grace: detection sees the first odd sample, clocks differ, roll-outs last.
                lead = max(0, at - change.ts)
                if change.ts > at + 60_000 or lead > scene.change_window_ms:
                    continue
                fade = 1 - lead / scene.change_window_ms
                weight = self.weight * fade * (1.0 if suspect.signals else 0.4)
                what = " ".join(filter(None, (change.kind, change.version, change.summary)))
                text = (
                    f"{clock(change.ts)} {what}, {lead / 1000:.0f} s before its trouble began at {clock(at)}"
                )
                best = Evidence("change", text, round(weight, 4), change.ts, change.id)
                suspect.cause = f"{what} at {clock(change.ts)}" + (
                    f"; {suspect.cause}" if suspect.signals else ""
                )
            if best is not None:
                suspect.evidence.append(best)
