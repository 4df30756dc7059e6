"""What is a secret and what only looks like one; how it is masked; what becomes of patterns of one's own."""

from __future__ import annotations

import base64
import gzip
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.logs import SECRETS, LogRules, Pattern, Secrets
from config.settings import InputTopic, Settings, Topics
from streams.decode import deadletter
from streams.decode.logs import secrets as kinds
from streams.decode.logs.masking import Masker
from streams.decode.logs.secrets import Finder, luhn
from streams.records.stage import Record
from streams.records.telemetry import DROPPED, MASKED, ROWS
from tests.decode.support import T0, core, read, record

MASK = Masker(Secrets())
GITHUB = "ghp_" + "a1B2c3D4e5" * 4
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r"


def test_every_kind_of_the_configuration_has_a_form() -> None:
    """Names in `config.logs` and here are the same; `password` is told from `secret` by its name."""
    assert {kind for kind, _ in kinds._FORMS} | {"password", "mail"} == set(SECRETS)


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("Authorization: Bearer abc123def456 sent", "Authorization: Bearer <bearer> sent"),
        ("authorization=Basic dXNlcjpwYXNz", "authorization=Basic <bearer>"),
        (f"got {JWT}.", "got <jwt>"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key <cloud-key> used"),
        (f"push with {GITHUB} failed", "push with <api-token> failed"),
        ("slack xoxb-123456789012-abcdefGHIJ", "slack <api-token>"),
        ('{"user":"bo","password":"hun ter\\"2","n":1}', '{"user":"bo","password":"<password>","n":1}'),
        (r"{\"password\":\"hunter2\",\"n\":1}", r"{\"password\":\"<password>\",\"n\":1}"),
        ("DB_PASSWORD='it is' PORT=1", "DB_PASSWORD='<password>' PORT=1"),
        ("pwd=x;user=y", "pwd=<password>;user=y"),
        ("GET /cb?api_key=Zz9&code=1", "GET /cb?api_key=<secret>&code=1"),
        ("secret_access_key => wJalrXUtnFEMI/K7MDENG", "secret_access_key => <secret>"),
        ("mysql --password hunter2 -h db", "mysql --password <password> -h db"),
        ("ALTER USER a IDENTIFIED BY 'x y'", "ALTER USER a IDENTIFIED BY '<password>'"),
        ("Set-Cookie: sid=31d4d96e; Path=/", "Set-Cookie: <secret>"),
        ("postgres://app:s3cr3t@db:5432/shop", "postgres://app:<url-password>@db:5432/shop"),
        ("mail to jörg.b+x@example.co.uk sent", "mail to <mail> sent"),
        ("card 4111 1111 1111 1111 2024", "card <card> 2024"),
        ("card=4111-1111-1111-1111.", "card=<card>."),
        ('{"pan":5555555555554444}', '{"pan":<card>}'),
        ("amex 3782 822463 10005", "amex <card>"),
        ("to DE89 3704 0044 0532 0130 00 TODAY", "to <iban> TODAY"),
        ("to GB82WEST12345698765432,", "to <iban>,"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx", "<private-key>\nx"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\nbroken off", "<private-key>"),
        ("MIIEowIBAAKCAQEA04up8hoqzS1+APIB0RhjXyObwHQnOzhAk5Bd7mhkSbPkyhP1", "<private-key>"),
        ("ütf password=pässwort ü a@b.de", "ütf password=<password> ü <mail>"),
    ],
)
def test_secrets_are_masked(line: str, masked: str) -> None:
    """What stands around them stays, and what is masked stays as it is."""
    assert MASK.mask(line) == masked
    assert MASK.mask(masked) == masked


@pytest.mark.parametrize(
    "line",
    [
        "Failed password for root from 10.0.0.1 port 22 ssh2",
        "Bearer authentication failed",
        "Unexpected token: }",
        "max_tokens=8000000 tokens: 1234 password_attempts=3",
        "sudo: bo : TTY=pts/0 ; PWD=/home/bo ; USER=root ; COMMAND=/bin/ls",
        "tests pass: 12, fail: 3",
        "password=******* api_key: <redacted> token=null secret=${VAULT}",
        "user@1000.service: Succeeded.",
        "lodash@4.17.21 and Foo@1a2b3c",
        "blk_-4111111111111111 blk_4111111111111111 id-4111111111111112",
        "ratio 0.4111111111111111 at 1700000000000 and 1700000000000000000",
        "digest e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "order DE12 3456 7890 1234 5678 90",
        "GET /orders/550e8400-e29b-41d4-a716-446655440000 200",
        "session 0x14ede63a5a70002 for sessionid: 0x34ede65503f0010",
    ],
)
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    """Working directories, identifiers, fractions, times, digests, words."""
    assert MASK.mask(line) == line


def test_kinds_can_be_kept_and_masking_turned_off() -> None:
    """Each by its name."""
    line = "a@b.de password=x api_key=y"
    assert Masker(Secrets(keep=("mail",))).mask(line) == "a@b.de password=<password> api_key=<secret>"
    assert Masker(Secrets(keep=("password",))).mask(line) == "<mail> password=x api_key=<secret>"
    assert Masker(Secrets(keep=("secret",))).mask(line) == "<mail> password=<password> api_key=y"
    assert Masker(Secrets(mask=False)).mask(line) == line
    assert Masker(Secrets(keep=SECRETS)).mask(line) == line


SECRET_PARTS = [
    "password=hunter2",
    "a@b.de",
    "4111111111111111",
    "Bearer abc123def",
    JWT,
    "ü",
    "\x00",
    " ",
    ",",
]


@given(st.lists(st.lists(st.sampled_from(SECRET_PARTS), max_size=5).map("".join), max_size=8))
def test_many_lines_are_masked_as_each_alone(lines: list[str]) -> None:
    """However lines are put together, a secret ends with its line."""
    together = MASK.mask_all(lines, Counter())
    assert [together.get(i, line) for i, line in enumerate(lines)] == [MASK.mask(line) for line in lines]


@given(st.binary(max_size=300))
def test_blotting_keeps_every_length(value: bytes) -> None:
    """Whatever the bytes; nothing is found in what is left."""
    blotted, _ = MASK.blot(value)
    assert len(blotted) == len(value)


@pytest.mark.parametrize("line", ["4" * 100_000, "a@" * 30_000, "password=" * 20_000, "DE" * 50_000 + "12"])
def test_hostile_lines_take_linear_time(line: str) -> None:
    """A search begins anew at most once a byte, and seldom: bounded by the number of searches."""
    finder = Finder(SECRETS)
    searches = 0
    search = finder._search

    def counted(text: bytes, at: int) -> object:
        nonlocal searches
        searches += 1
        return search(text, at)

    finder._search = counted
    finder.find(b"\x00" + line.encode() + b"\x00")
    assert searches <= len(line) // 9 + 10


def test_luhn_is_the_published_formula() -> None:
    """The example of its patent's descendants: 7992739871 has the check digit 3."""
    assert [d for d in "0123456789" if luhn("7992739871" + d)] == ["3"]


# -- in ingest -------------------------------------------------------------------------------------


def of(*patterns: Pattern, wire_format: str = "fluent-bit", secrets: Secrets = Secrets()) -> Settings:  # noqa: B008
    return Settings(
        topics=Topics(inputs=(InputTopic(name="in", format=wire_format),)),
        logs=LogRules(secrets=secrets, patterns=patterns),
    )


def said(*logs: str, app: str = "cart") -> list[Record]:
    return [record({"@timestamp": T0 / 1000, "log": log, "app": app}, i) for i, log in enumerate(logs)]


def bodies(settings: Settings, records: list[Record]) -> tuple[list[str], dict[tuple[str, str], float]]:
    made = core(settings)
    found = read(made.process(records), of=settings)
    return sorted(body for _, _, _, body, _, _ in found.logs), dict(made.telemetry().totals)


def test_ingest_masks_bodies_exceptions_and_ids_and_counts_by_kind() -> None:
    """An id of letters and digits alone is an id, whatever it looks like."""
    made = core(of())
    values = [
        {"log": "password=hunter2 a@b.de", "exception_class": "Bad a@b.de", "trace_id": "4111111111111111"},
        {"log": "fine", "trace_id": "bo@example.com"},
    ]
    records = [record({"@timestamp": T0 / 1000, "app": "cart", **value}, i) for i, value in enumerate(values)]
    pages = b"".join(output.value or b"" for output in made.process(records))
    for gone in (b"hunter2", b"a@b.de", b"bo@example.com"):
        assert gone not in pages
    assert b"4111111111111111" in pages
    totals = made.telemetry().totals
    assert {which: n for (what, which), n in totals.items() if what == MASKED} == {"mail": 3, "password": 1}


def test_patterns_of_ones_own_drop_and_mask_before_secrets_are() -> None:
    """Drops are counted by pattern, masks name the first group; a matcher says whose lines."""
    chosen = (
        Pattern(name="health", regex="GET /health", do="drop"),
        Pattern(name="user", regex=r"user=(\S+)", do="mask", matchers=('service="cart"',)),
    )
    settings = of(*chosen)
    logs = ["GET /health 200", "user=a@b.de user=bo logged in", "mail a@b.de"]
    found, totals = bodies(settings, said(*logs))
    assert found == ["mail <mail>", "user=<user> user=<user> logged in"]
    assert totals[DROPPED, "pattern:health"] == 1
    assert totals[MASKED, "user"] == 2
    assert totals[ROWS, "logs"] == 2
    assert bodies(settings, said("user=bo", app="other"))[0] == ["user=bo"]


def test_anchored_patterns_hold_for_lines_not_pages() -> None:
    """In whatever company a line comes."""
    settings = of(Pattern(name="exact", regex="^ping$", do="drop"))
    assert bodies(settings, said("ping", "a ping", "pong"))[0] == ["a ping", "pong"]


def test_without_masking_lines_stay() -> None:
    """Opt-out."""
    assert bodies(of(secrets=Secrets(mask=False)), said("password=hunter2"))[0] == ["password=hunter2"]


def letters(settings: Settings, records: list[Record]) -> list[bytes]:
    return [o.value or b"" for o in core(settings).process(records) if o.topic == settings.topics.deadletters]


def test_dead_letters_lose_their_secrets_and_nothing_else() -> None:
    """The record can still be read, and its words do not quote the secret."""
    value = {"@timestamp": T0 / 1000 + 10**6, "log": "password=hunter2", "pan": 4111111111111111, "app": "c"}
    [raw] = letters(of(), [record(value)._replace(key=b"a@b.de", headers=(("h", b"token=abcd1234"),))])
    dead = deadletter.read(raw)
    assert msgspec.json.decode(dead.value or b"") == {
        **value,
        "log": "password=*******",
        "pan": 9999999999999999,
    }
    assert (dead.key, dead.headers) == (b"******", (("h", b"token=********"),))
    [raw] = letters(of(wire_format="auto"), [record(b"\xff" + GITHUB.encode())])
    assert GITHUB[:8].encode() not in raw
    assert GITHUB[:8] not in deadletter.read(raw).detail


def test_compressed_dead_letters_are_kept_decompressed() -> None:
    """By magic bytes, by header, and within a CloudEvent."""
    plain = b'{"log": "password=hunter2"'
    for sent in (
        record(gzip.compress(plain)),
        record(gzip.compress(plain), headers=(("Content-Encoding", b"gzip"),)),
    ):
        [raw] = letters(of(), [sent])
        dead = deadletter.read(raw)
        assert (dead.value, dead.headers) == (plain.replace(b"hunter2", b"*" * 7), ())
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    event["data_base64"] = base64.b64encode(plain).decode()
    [raw] = letters(of(), [record(event)])
    kept = msgspec.json.decode(deadletter.read(raw).value or b"")
    assert base64.b64decode(kept["data_base64"]) == plain.replace(b"hunter2", b"*" * 7)
