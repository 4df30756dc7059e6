"""Targets behind TLS: an authority of one's own, and services that ask for our certificate."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from config.load import ConfigError, load
from sinks.protocol import SinkUnavailable
from tests.certificates import KEY_PASSWORD, Authority
from tests.targets.kit import KINDS, SECRETS, engine, record, version
from tests.targets.server import Service, WebhookService
from tests.targets.test_targets import told

OPEN = version(1, state="open", severity="critical")


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SECRETS, "T_KEY": KEY_PASSWORD}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def secure(service: Service, authority: Authority, *, ask: bool = False) -> Service:
    """The service, with a certificate of this authority."""
    service.tls = authority.server_context(authority.issue("127.0.0.1"), ask=ask)
    return service


@pytest.mark.parametrize("kind", KINDS)
async def test_every_target_shows_its_certificate_and_believes_our_authority(
    kind: str, authority: Authority
) -> None:
    """The key is encrypted, its password in the environment."""
    own = authority.issue("worker.test", password=KEY_PASSWORD)
    async with secure(KINDS[kind].service(), authority, ask=True) as service:
        teller = engine(
            kind,
            service,
            timeout_s=5.0,
            ca_file=str(authority.ca),
            cert_file=str(own.cert),
            key_file=str(own.key),
            key_password={"env": "T_KEY"},
        )
        await told(teller, [OPEN])
        await teller.stop()
        assert service.url.startswith("https://")
    assert not service.refused
    assert teller.counts["sent"] == 1, teller.counts


async def _why(service: Service, **more: Any) -> str:
    teller = engine("webhook", service, timeout_s=5.0, **more)
    try:
        with pytest.raises(SinkUnavailable) as failed:
            await teller.write([record(OPEN)])
    finally:
        await teller.stop()
    return str(failed.value)


async def test_an_unknown_authority_is_named_with_the_key_to_check(
    authority: Authority, tmp_path: Path
) -> None:
    """With another authority, and with none; nothing was sent."""
    stranger = Authority(tmp_path, "stranger")
    async with secure(WebhookService(), authority) as service:
        said = await _why(service, ca_file=str(stranger.ca))
        assert "not trusted" in said
        assert f"check ca_file of target it, now {stranger.ca}" in said
        assert "authorities of the system" in await _why(service)
    assert service.requests == []


@pytest.mark.parametrize("tls_version", ["TLSv1_2", "TLSv1_3"])
async def test_a_service_that_wants_our_certificate_refuses_without_one(
    authority: Authority, tls_version: str
) -> None:
    """Which certificate was shown is said."""
    async with secure(WebhookService(), authority, ask=True) as service:
        assert service.tls is not None
        service.tls.maximum_version = ssl.TLSVersion[tls_version]
        said = await _why(service, ca_file=str(authority.ca))
    assert "cert_file of target it, now none" in said
    assert service.requests == []


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ("ca_file: /nowhere.pem", ["notify.targets[0].ca_file", "'/nowhere.pem'", "No such file"]),
        ("ca_file: {here}", ["notify.targets[0].ca_file", "certificates in PEM"]),
        ("cert_file: {here}", ["notify.targets[0].key_file", "cert_file is set"]),
        ("cert_file: {here}, key_file: {here}", ["notify.targets[0].cert_file", "its key"]),
        ("url: 'http://x', ca_file: {here}", ["notify.targets[0].ca_file", "https://"]),
        ("type: apprise, url: ~, urls: {{env: X}}, ca_file: {here}", ["REQUESTS_CA_BUNDLE"]),
    ],
)
def test_files_are_checked_at_load(tmp_path: Path, more: str, parts: list[str]) -> None:
    """Key, value and what was expected."""
    path = tmp_path / "tocsin.yaml"
    path.write_text("not a certificate")
    bad = tmp_path / "bad.yaml"
    keys = dict(part.split(": ", 1) for part in more.format(here=path).split(", "))
    target = {"type": "webhook", "name": "hook", "url": "https://x", **keys}
    target = {name: value for name, value in target.items() if value != "~"}
    inner = ", ".join(f"{name}: {value}" for name, value in target.items())
    bad.write_text(f"notify: {{targets: [{{{inner}}}]}}")
    with pytest.raises(ConfigError) as refused:
        load(bad)
    for part in parts:
        assert part in str(refused.value)
