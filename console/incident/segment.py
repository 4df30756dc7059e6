"""Who is hit, as far as labels tell: the region, tenant or cluster that the alerts share. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

WORDS: Mapping[str, tuple[str, ...]] = {
    "tenant": ("tenant", "tenant.id", "tenant_id"),
    "segment": ("segment", "customer.segment", "customer_segment"),
    "country": ("country", "country_code", "geo.country.iso_code", "geo_country_iso_code"),
    "region": ("region", "cloud.region", "cloud_region"),
    "zone": ("zone", "availability_zone", "cloud.availability_zone", "cloud_availability_zone"),
    "cluster": ("cluster", "k8s.cluster.name", "k8s_cluster_name"),
}
"""what a label says -> what it is called; the first that fits is named"""
NAMES = tuple(name for names in WORDS.values() for name in names)
SHARED = 0.8
"""of the alerts that say: so many have the same value"""
MOST_SAY = 0.5
SOME_SAY = 0.25
"""of all alerts: so many have to say, where nothing or where other values are known of their services"""
MOST_CHARS = 60


def segment(alerts: Sequence[Mapping[str, str]], known: Mapping[str, Collection[str]]) -> str:
    """`region eu`; empty: the labels tell nothing.

    `alerts`: their labels. `known`: label -> values that series of these services have. Where only one is
    known, everything has it, and it says nothing of who is hit.
    """
    for word, names in WORDS.items():
        values = [found for labels in alerts if (found := _value(labels, names))]
        if not values:
            continue
        (value, count), *_ = Counter(values).most_common(1)
        seen = {one for name in names for one in known.get(name, ())}
        least = SOME_SAY if seen - {value} else MOST_SAY
        told = bool(seen - {value}) or not seen
        if told and count >= SHARED * len(values) and len(values) >= least * len(alerts):
            return f"{word} {value if len(value) <= MOST_CHARS else value[: MOST_CHARS - 1] + '…'}"
    return ""


def _value(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
