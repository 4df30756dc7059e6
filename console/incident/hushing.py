"""The matchers that hold for the alerts of an incident, for a silence over them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from config.matchers import parse
from console.incident.segment import NAMES
from correlator.silencing import over_services

PLACES = ("env", "deployment.environment", "deployment.environment.name", *NAMES)
"""labels worth a matcher of their own when all alerts share a value"""
MOST_SERVICES = 100
MOST_TEXT = 1_900
"""characters of all of them, a line each: what an address carries to the form"""


def shared_matchers(alerts: Sequence[Mapping[str, str]], domain: str = "") -> list[str]:
    """Each holds for every alert, unless its services are too many for one expression.

    Then those with the most alerts are named, as many as there is room for.
    """
    counts = Counter(labels["service"] for labels in alerts if labels.get("service"))
    matchers = _over(counts)
    for name in ("domain", "metric", *PLACES):
        fallback = domain if name == "domain" and domain != "default" else ""
        values = {labels.get(name, fallback) for labels in alerts}
        value = values.pop() if len(values) == 1 else ""
        if value:
            matcher = over_services([value], name)
            if sum(map(len, matchers)) + len(matcher) + len(matchers) <= MOST_TEXT:
                matchers.append(matcher)
    return matchers


def _over(counts: Counter[str]) -> list[str]:
    names = [name for name, _ in counts.most_common(MOST_SERVICES)]
    while names:
        matcher = over_services(sorted(names), "service")
        try:
            parse(matcher)
        except ValueError:  # longer than an expression may be
            names.pop()
        else:
            return [matcher]
    return []
