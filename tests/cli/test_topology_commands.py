"""`tocsin topology`, `tocsin catalogue` and `tocsin incident show`, from files."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from cli.backtest import incident_object
from cli.errors import CliError
from cli.main import app
from cli.picture import Picture
from correlator.atlas import LearnedCall, ServiceSeen
from correlator.incident import Hint, Incident, Member, ServiceRole, TimelineEntry
from tests.sinks.make import HOUR, MINUTE, T0, alert, incident, resolved

CATALOGUE = """
- {service: web, name: Web shop, owner: shop, tier: 1, depends_on: [cart, pay], runbook: "https://wiki/web"}
- {service: cart, aliases: [cartservice], owner: shop, depends_on: [store]}
- {service: pay, owner: money, depends_on: [ghost]}
- {service: store}
"""


def call(callee: str, failed: float = 0.0) -> LearnedCall:
    return LearnedCall(callee, T0 - HOUR, T0, 12.5, failed, 3)


SEEN = (
    ServiceSeen("web", T0, T0, (call("cartservice", 0.25), call("mailer"))),
    ServiceSeen("cart", T0, T0, (call("web"),)),
    ServiceSeen("stranger", T0, T0),
)


def member(service: str, severity: str = "error", number: int = 0, **more: object) -> Member:
    fields = {
        "alert_id": f"{service}-{number}", "service": service, "kind": "metric", "metric": "latency",
        "severity": severity, "started_at": T0 + number * MINUTE, "detected_at": T0 + MINUTE,
        "resolved_at": None, "strength": 5.0, "joined_at": T0, "reasons": (),
        "summary": f"{service} latency 900 ms, usually 90 ms, since 10:00:00 UTC",
    }  # fmt: skip
    return Member(**(fields | more))  # type: ignore[arg-type]


def troubled() -> Incident:
    """The web shop is slow because the store is, through a silent cart."""
    return incident(
        "3f9a1c0de2b47756",
        title="store is slow",
        services=(
            ServiceRole(
                "store", "suspected cause", "data", 2, "https://wiki/store", (("board", "https://b/1"),)
            ),
            ServiceRole("pay", "affected"),
            ServiceRole("web", "affected", "shop", 1),
        ),
        members=(
            *(member("store", "critical", n) for n in range(5)),
            member("pay", "info"),
            member("web", "warning", resolved_at=T0 + 5 * MINUTE),
        ),
        hints=(Hint("store", 0.8, (), "latency"), Hint("pay", 0.1, ())),
        calls=(("cart", "store", 0.5), ("pay", "web", 0.0), ("web", "cart", 0.0), ("web", "pay", 0.0)),
        timeline=(TimelineEntry(T0 - MINUTE, "change", "store: deployment v2", "c1"),),
        owner="data",
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a back-test wrote, and a catalogue."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "services.yaml").write_text(CATALOGUE)
    lines = [msgspec.json.encode({"run": "r", **msgspec.to_builtins(one)}) for one in SEEN]
    (tmp_path / "topology.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    found = [troubled(), incident("3f9b000000000001", **resolved(9))]
    rows = [msgspec.json.encode(incident_object("r", one)) for one in found]
    (tmp_path / "incidents.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command printed."""
    with pytest.raises(SystemExit) as ended:
        app([str(word) for word in words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> str:
    return said(capsys, "topology", *words, "--from", folder, "--catalogue", folder / "services.yaml")


def test_topology_lists_declared_and_learned_calls(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Side by side, under the services' own names."""
    out = told(capsys, folder)
    (line,) = [one.split() for one in out.splitlines() if one.startswith("web") and " cart " in one]
    assert line[2:8] == ["yes", "traces,", "metrics", "12.5", "25", "%"]
    assert "7 services, 6 calls: 4 declared, 3 seen" in out
    everything = json.loads(told(capsys, folder, "--json"))
    by_pair = {(c["caller"], c["callee"]): c for c in everything["calls"]}
    assert by_pair["cart", "store"]["seen_in"] == []
    assert by_pair["web", "mailer"] == {
        "caller": "web", "callee": "mailer", "declared": False, "seen_in": ["traces", "metrics"],
        "per_minute": 12.5, "failed": 0.0, "first_at": T0 - HOUR, "last_at": T0,
    }  # fmt: skip


def test_topology_show_draws_what_lies_around(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways, with cycles marked, by an alias too."""
    out = told(capsys, folder, "show", "cartservice", "--depth", "3")
    assert "shop · telemetry last seen" in out
    assert "├── store  declared, not seen" in out
    assert "└── web  not declared, 12.5/min, seen in traces and metrics" in out
    assert "↺ cycle" in out
    around = json.loads(told(capsys, folder, "show", "web", "--json"))
    assert around["entry"]["owner"] == "shop"
    assert [c["callee"] for c in around["calls"]] == ["cart", "mailer", "pay"]


def test_topology_show_of_a_service_that_is_not_there(folder: Path) -> None:
    """Names those that are alike."""
    with pytest.raises(CliError) as error:
        app(["topology", "show", "car", "--from", str(folder), "--catalogue", str(folder / "services.yaml")])
    assert "perhaps cart" in error.value.next_step


def test_topology_conflicts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All kinds, or one."""
    everything = json.loads(told(capsys, folder, "conflicts", "--json"))
    found = {(c["kind"], c["service"], c["other"]) for c in everything}
    assert {
        ("undeclared", "web", "mailer"), ("undeclared", "cart", "web"), ("unseen", "pay", "ghost"),
        ("unseen", "cart", "store"), ("unlisted", "stranger", ""), ("silent", "store", ""),
        ("silent", "pay", ""), ("cycle", "cart", "web"), ("unseen", "web", "pay"),
    } == found  # fmt: skip
    out = told(capsys, folder, "conflicts", "--kind", "unlisted")
    assert "stranger" in out
    assert "1 unlisted (sends telemetry, no entry in the catalogue)" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"{}\n", "is not what tocsin backtest writes")],
)
def test_files_that_are_not_there_or_not_ours(tmp_path: Path, content: bytes | None, message: str) -> None:
    """One line, with the file."""
    if content:
        for name in ("topology.jsonl", "incidents.jsonl"):
            (tmp_path / name).write_bytes(content)
    for words in (["topology"], ["incident", "show", "3"]):
        with pytest.raises(CliError, match=message):
            app([*words, "--from", str(tmp_path)])


def test_incident_show_draws_the_way_from_symptom_to_cause(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With marks that need no colour, changes, what the catalogue says, and where to go on."""
    out = said(capsys, "incident", "show", "3f9a", "--from", folder)
    assert "web → cart → store" in out
    lines = [line.strip() for line in out.splitlines()]
    assert "├── cart  no alert of its own" in lines
    assert any(line.endswith("store  50 % of calls fail  ◀ suspected cause, 80 %  data · tier 2 · https://wiki/store")
               for line in lines)  # fmt: skip
    assert any(line.endswith("△   09:59:00 deployment v2") for line in lines)
    assert any(line.endswith("!!! 10:00:00 latency 900 ms, usually 90 ms") for line in lines)
    assert any(line.endswith("and 2 more alerts") for line in lines)
    assert any("·   10:00:00 latency 900 ms" in line for line in lines)
    assert any("!   10:00:00 latency 900 ms, usually 90 ms  over 10:05:00" in line for line in lines)
    assert "runbook: https://wiki/store" in lines
    assert "board: https://b/1" in lines
    assert max(map(len, out.splitlines())) <= 120


def test_incident_show_needs_one_incident(folder: Path) -> None:
    """Digits that begin several, or none, are refused with those there are."""
    with pytest.raises(CliError, match="begins several"):
        app(["incident", "show", "3f9", "--from", str(folder)])
    with pytest.raises(CliError, match="no incident 'x'") as error:
        app(["incident", "show", "x", "--from", str(folder)])
    assert "3f9a1c0de2b47756" in error.value.next_step


def test_a_picture_of_a_cycle_without_a_cause_ends() -> None:
    """Every service is drawn, none twice in full; nothing claims to be the cause."""
    ring = [f"s{n}" for n in range(60)]
    calls = tuple((a, b, 0.0) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
    picture = Picture(
        incident(services=tuple(ServiceRole(s, "affected") for s in ring), members=(), hints=(), calls=calls)
    )
    assert picture.path == []
    assert picture.tree(100).renderables


def test_catalogue_check_says_what_is_wrong_and_fails(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, file and line; warnings only with --strict."""
    (folder / "bad.yaml").write_text("- service: a\n  tier: 9\n")
    with pytest.raises(SystemExit) as ended:
        app(["catalogue", "check", str(folder / "bad.yaml")])
    assert ended.value.code == 1
    assert "bad.yaml:2: tier of 'a' is 9: expected 1, 2, 3 or 4" in capsys.readouterr().err
    out = json.loads(said(capsys, "catalogue", "check", folder / "services.yaml", "--json"))
    assert (out["services"], out["calls"], out["warnings"]) == (
        4,
        4,
        ["no entry for 'ghost', which pay depends on"],
    )
    with pytest.raises(SystemExit) as ended:
        app(["catalogue", "check", str(folder / "services.yaml"), "--strict"])
    assert ended.value.code == 1


def test_bad_catalogues_stop_the_start(folder: Path) -> None:
    """Of whatever reads them: the worker, a back-test, the check of the settings."""
    (folder / "bad.yaml").write_text("- {service: a, tier: 9}\n")
    (folder / "tocsin.yaml").write_text("topology: {catalogue: [bad.yaml]}\n")
    for words in (["worker"], ["config", "check"], ["backtest", str(folder), "-o", str(folder / "out")]):
        with pytest.raises(CliError, match=r"bad catalogue: .*bad\.yaml:1: tier of 'a' is 9"):
            app([*words, "--config", str(folder / "tocsin.yaml")])


def test_rules_are_tried_on_alerts_as_the_correlator_knows_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under their service's name, with the catalogue's labels."""
    (folder / "alerts.jsonl").write_bytes(msgspec.json.encode(alert(service="cartservice")) + b"\n")
    rule = "{name: shop, matchers: ['owner=\"shop\"', 'service=\"cart\"']}"
    (folder / "tocsin.yaml").write_text(
        f"topology: {{catalogue: [services.yaml]}}\ncorrelate: {{silences: [{rule}]}}\n"
    )
    words = ("rules", "dry-run", "-c", folder / "tocsin.yaml", "--alerts", folder / "alerts.jsonl", "--json")
    (held,) = json.loads(said(capsys, *words))["suppressed"]
    assert held["service"] == "cart"
