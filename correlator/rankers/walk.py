"""Random walk over the calls, drawn by how much each service is off (Kim et al., MonitorRank, 2013).

From a service the walk goes on to what it calls by how much that is off, back to its callers by a tenth of
it, and stays by how much it is off beyond all it calls; at times it begins anew with a service in trouble.
Where it is most often is where trouble gathers.
"""

from __future__ import annotations

import numpy as np

from correlator.incident import Evidence
from correlator.rankers.protocol import Field

RESTART = 0.15
BACK = 0.1
STEPS = 40
LEAST = 0.02
"""strength of a service of which nothing is known to be off"""


class RandomWalk:
    """Where a walk along the calls, toward what is off, ends up."""

    name = "walk"

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def look(self, field: Field) -> None:
        if self.weight <= 0.0 or len(field.suspects) < 2:
            return
        names = [suspect.service for suspect in field.suspects]
        at = {name: number for number, name in enumerate(names)}
        off = np.array([max(LEAST, suspect.standing) for suspect in field.suspects])
        ways = np.zeros((len(names), len(names)))
        for caller, callee, _ in field.scene.calls:
            if caller in at and callee in at:
                ways[at[caller], at[callee]] = off[at[callee]]
                back = BACK * off[at[caller]]
                ways[at[callee], at[caller]] = max(ways[at[callee], at[caller]], back)
        if not ways.any():
            return
        beneath = ways.max(axis=1)  # the diagonal is empty so far
        ways[np.diag_indices(len(names))] = np.maximum(LEAST, off - beneath)
        ways /= ways.sum(axis=1, keepdims=True)
        begin = off / off.sum()
        there = begin
        for _ in range(STEPS):
            there = RESTART * begin + (1 - RESTART) * (there @ ways)
        most = float(there.max())
        for number, suspect in enumerate(field.suspects):
            share = float(there[number])
            weight = round(self.weight * suspect.standing * share / most, 4)
            if weight > 0:
                text = f"a random walk along the calls toward what is off is here {share:.0%} of the time"
                suspect.evidence.append(Evidence("walk", text, weight))
