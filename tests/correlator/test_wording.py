"""What joins because it is worded alike, or was seen together before: by how much, and what does not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from correlator.incident import Incident
from correlator.text import MOST_RARE, PRIOR, RARE, Frequencies, hashed, words_of
from correlator.together import LEAST, TAUGHT, Together
from correlator.together import PRIOR as DOUBT
from tests.correlator.make import T0, Message, firing, mark, new_core, records, resolved, run

HOUR = 3_600_000
LOG: dict[str, Any] = {"kind": "log", "severity": "error"}
LETTERS = "abcdefghijklmnop"
WORDS = [f"filler{a}{b}" for a in LETTERS for b in LETTERS]
"""256 words nobody else says"""


def _spoken(texts: list[str]) -> Frequencies:
    found = Frequencies()
    for text in texts:
        found.observe(hashed(text))
    return found


def _before() -> list[Message]:
    """Log alerts of the past, each in its own words, so that there is such a thing as a rare word."""
    found = [
        firing(f"old{n}", f"{word} happened", -48 * HOUR + 60_000 * n, **LOG) for n, word in enumerate(WORDS)
    ]
    ends = [resolved(a, a.detected_at - T0 + 10_000) for a in found]
    log = sorted([*found, *ends], key=lambda a: a.resolved_at or a.detected_at)
    return [*log, mark(-40 * HOUR)]


def _of(incidents: dict[str, Incident], *services: str) -> list[set[str]]:
    """Which of these services share incidents."""
    homes = [{m.service for m in i.members} for i in incidents.values()]
    return sorted((h & set(services) for h in homes if h & set(services)), key=sorted)


def _two(text: str, other: str, apart: int = 1_000) -> dict[str, Incident]:
    return run(
        [*_before(), firing("island", text, **LOG), firing("rock", other, apart, **LOG), mark(400_000)]
    )


def test_rare_words_alone_bring_strangers_together_and_say_so() -> None:
    """With nothing else but closeness in time; the weights of the reasons are what was decided by."""
    found = _two("certificate of vault expired", "expired certificate in vault")
    assert _of(found, "island", "rock") == [{"island", "rock"}]
    (incident,) = [i for i in found.values() if "rock" in {m.service for m in i.members}]
    reasons = {r.name: r for r in incident.members[1].reasons}
    assert set(reasons) == {"text", "time"}
    assert 0.15 < reasons["text"].weight <= 0.20
    assert reasons["text"].detail == "worded alike, in words that are rare here"
    assert reasons["text"].weight + reasons["time"].weight >= 0.5


@pytest.mark.parametrize(
    ("text", "other", "apart"),
    [
        ("certificate of vault expired", "disk quota exceeded", 1_000),
        ("certificate of vault expired", "certificate pinned by agent policy update", 1_000),
        ("certificate of vault expired", "expired certificate in vault", 60_000),
        ("service happened", "trouble happened", 1_000),
    ],
    ids=["other words", "one word of many", "later", "words everybody says"],
)
def test_what_is_not_enough(text: str, other: str, apart: int) -> None:
    assert _of(_two(text, other, apart), "island", "rock") == [{"island"}, {"rock"}]


def test_metrics_do_not_speak() -> None:
    """What Tocsin says of a metric is the same sentence for every series."""
    assert words_of(firing("payment", "certificate.expiry")) == ()
    assert words_of(firing("payment", "certificate expired", **LOG)) == hashed("certificate expired")
    outside = firing("payment", "CertExpired", kind="external", summary="payment vault is sealed")
    assert words_of(outside) == hashed("CertExpired vault is sealed"), "name and summary, not the service"


def test_words_are_letters_of_three_and_more_whatever_their_case() -> None:
    assert hashed("Timeout 4711 to 10.0.0.1 ab id7") == hashed("timeout to")
    assert hashed("timeout timeout") == hashed("timeout")
    assert len(hashed(" ".join(WORDS))) == 32


def test_a_share_counts_texts_and_ten_that_hold_every_word() -> None:
    found = _spoken(["disk full", "disk slow", *(f"{w}" for w in WORDS[:28])])
    (disk,), (never,) = hashed("disk"), hashed("never")
    assert found.share(disk) == pytest.approx((2 + PRIOR) / (30 + PRIOR))
    assert found.share(never) == pytest.approx(PRIOR / (30 + PRIOR))
    assert found.rare(hashed("disk never")) == [], "of the first few texts nothing is rare"


def test_the_rarest_words_are_looked_for_first() -> None:
    texts = [f"common {w}" for w in WORDS]
    found = _spoken([*texts, "seldom common"])
    wanted = hashed("common seldom never once twice thrice quince")
    rare = found.rare(wanted)
    (seldom,), (common,) = hashed("seldom"), hashed("common")
    assert common not in rare
    assert seldom not in rare, "the four that were never seen are rarer"
    assert len(rare) == MOST_RARE
    assert all(found.share(w) <= RARE for w in rare)


def test_likeness_is_the_cosine_of_rarity_times_the_rarity_of_what_is_shared() -> None:
    found = _spoken([f"common {w}" for w in WORDS])
    mine, theirs = hashed("common seldom"), dict.fromkeys(hashed("common seldom other"), 1)
    (common,), (seldom,), (other,) = hashed("common"), hashed("seldom"), hashed("other")
    idf = {w: math.log(1 / found.share(w)) for w in (common, seldom, other)}
    assert idf[common] == 0.0
    cosine = idf[seldom] ** 2 / math.sqrt(idf[seldom] ** 2 * (idf[seldom] ** 2 + idf[other] ** 2))
    rarity = (1 - found.share(seldom) + 1 - found.share(common)) / 2
    assert found.likeness(mine, theirs) == pytest.approx(rarity * cosine)
    assert found.likeness(mine, {}) == 0.0
    assert found.likeness(hashed("common"), dict.fromkeys(hashed("common"), 3)) == 0.0


def test_the_strength_of_a_pair_is_how_often_one_came_with_the_other_doubted_while_young() -> None:
    past = Together()
    for _ in range(6):
        past.learn(["a", "b"], 0)
    past.learn(["a", "c"], 0)
    (partner,) = past.partners("a", 0)
    assert (partner.signal, partner.taught) == ("b", False)
    assert partner.strength == pytest.approx(6 / (DOUBT + 7), abs=1e-4), "a was there seven times"
    assert 1 / (DOUBT + 7) < LEAST, "c came once and is not looked for"
    (later,) = past.partners("a", 7 * 24 * HOUR)
    assert later.strength == pytest.approx(3 / (DOUBT + 3.5), abs=1e-4), "all counts are halved in a week"


def test_one_word_of_people_counts_as_four_incidents_and_is_taken_back_as_much() -> None:
    past = Together()
    past.teach(["a"], ["b"], TAUGHT, 0)
    (partner,) = past.partners("a", 0)
    assert (partner.strength, partner.taught) == (pytest.approx(4 / (DOUBT + 4), abs=1e-4), True)
    past.teach(["a"], ["b"], -TAUGHT, 0)
    assert past.partners("a", 0) == []
    assert past.partners("b", 0) == []


def _past(times: int, *services: str) -> list[Message]:
    """Incidents of these services at one moment, days apart, merged by what they share: a host."""
    log: list[Message] = []
    for n in range(times):
        at = -(times - n + 1) * 24 * HOUR
        both = [firing(s, "pulse", at, severity="critical", resource=(("host", "h1"),)) for s in services]
        others = [firing(f"far{k}", "pulse", at - HOUR, resource=(("host", f"h{k + 2}"),)) for k in range(3)]
        ends = [resolved(a, at + 30_000) for a in both]
        log += [*others, *both, mark(at + 20_000), *ends, mark(at + 23 * HOUR)]
    return log


@pytest.mark.parametrize(("times", "together"), [(0, False), (1, False), (6, True)])
def test_what_came_together_often_enough_comes_together_again(times: int, together: bool) -> None:
    """Without the host this time. One incident alone proves nothing."""
    now = [firing("island", "pulse", severity="critical"), firing("rock", "pulse", 500, severity="critical")]
    core = new_core()
    core.process(records([*_past(times, "island", "rock"), *now, mark(60_000)]))
    groups = [g for g in core.engine.groups.values() if "rock" in g.spans]
    (group,) = groups
    assert ("island" in group.spans) is together
    if together:
        (rock,) = [h for h in group.held if h.alert.service == "rock"]
        (reason,) = [r for r in rock.reasons if r.name == "together"]
        assert 0.15 < reason.weight <= 0.30
        assert reason.detail == "it came with pulse of island before"
