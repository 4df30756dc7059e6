"""Rules are found by a label's value, whatever else they ask for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from correlator.selectors import RuleIndex, Selector, labels_of
from tests.correlator.make import firing

_word = st.sampled_from(("a", "b", "c", ""))
_name = st.sampled_from(("service", "host", "zone"))
_matcher = st.builds(
    lambda name, op, value: f'{name}{op}"{value}"',
    _name, st.sampled_from(("=", "!=", "=~", "!~")), st.sampled_from(("a", "b", "", "a|b", "a.*", "b|")),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(_matcher, min_size=1, max_size=3), max_size=12),
    st.dictionaries(_name, _word),
    st.sets(st.integers(0, 11)),
)
def test_the_index_finds_what_a_scan_finds(
    rules: list[list[str]], labels: dict[str, str], removed: set[int]
) -> None:
    """Also after rules were taken out."""
    index: RuleIndex[int] = RuleIndex()
    for key, texts in enumerate(rules):
        index.add(key, Selector(texts))
    for key in removed:
        if key < len(rules):
            index.remove(key)
    left = [key for key in range(len(rules)) if key not in removed]
    found = sorted(index.matching(labels))
    assert found == [key for key in left if Selector(rules[key]).matches(labels)]
    assert len(index) == len(left)


def test_thousands_of_silences_are_not_tried_one_by_one() -> None:
    """They ask for a severity first and a service second: the service tells them apart."""
    index: RuleIndex[int] = RuleIndex()
    for key in range(5_000):
        index.add(key, Selector(('severity="warning"', f'service="s{key}"', 'metric=~"latency.*"')))
    labels = labels_of(firing("s77"), "default")
    # The very first was filed before anything told them apart.
    assert index.candidates(labels) <= 2
    assert list(index.matching(labels)) == [77]


def test_matchers_see_what_an_alert_says_of_itself() -> None:
    """Its own words over its labels, those over its resource."""
    alert = firing(
        "db", "disk", kind="external", labels=(("host", "a"), ("service", "x")), resource=(("host", "b"),)
    )
    labels = labels_of(alert, "prod")
    assert (labels["service"], labels["host"], labels["domain"]) == ("db", "a", "prod")
    assert (labels["alertname"], labels["metric"], labels["kind"]) == ("disk", "disk", "external")
