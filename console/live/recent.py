"""The newest whole versions that came in: fresher than ClickHouse right after somebody acted."""

from __future__ import annotations

from correlator.incident import Incident


class Recent:
    """At most `most` incidents, those not heard of the longest go first."""

    def __init__(self, most: int = 500) -> None:
        self._most = most
        self._kept: dict[str, Incident] = {}

    def put(self, incident: Incident) -> None:
        known = self._kept.pop(incident.id, None)
        newer = incident if known is None or known.version < incident.version else known
        self._kept[incident.id] = newer
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def newer(self, id: str, than: Incident | None) -> Incident | None:
        """What came in, if it is newer; else what was given."""
        known = self._kept.get(id)
        if known is None or (than is not None and than.version >= known.version):
            return than
        return known
