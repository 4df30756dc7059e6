"""Ways to Kafka and ClickHouse: what clients are given, and what is wrong with settings."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from config.connect import address, clickhouse_options, kafka_options, servers
from config.load import ConfigError, load
from config.secrets import Secret, SecretError
from config.settings import ClickHouse, Kafka
from streams.agents.patience import passing
from tests.certificates import KEY_PASSWORD, Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def test_without_security_there_is_an_address_alone() -> None:
    """As text or as settings; blanks and empty parts do no harm."""
    assert kafka_options("a:1") == {"bootstrap_servers": ["a:1"]}
    assert kafka_options(Kafka(bootstrap="a:1, b:2,")) == {"bootstrap_servers": ["a:1", "b:2"]}
    assert servers("a:1,b:2") == ["a:1", "b:2"]
    assert address(Kafka(bootstrap="a:1")) == address("a:1") == "a:1"


def test_tls_trusts_the_given_authority_alone_and_checks_the_host(authority: Authority) -> None:
    """Both are on unless the host check is switched off."""
    options = kafka_options(Kafka(security="ssl", ca_file=str(authority.ca)))
    assert options["security_protocol"] == "SSL"
    context = options["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
    assert "sasl_mechanism" not in options
    off = kafka_options(Kafka(security="ssl", ca_file=str(authority.ca), check_hostname=False))["ssl_context"]
    assert (off.verify_mode, off.check_hostname) == (ssl.CERT_REQUIRED, False)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_has_mechanism_user_and_password(mechanism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is read each time, so that it can change."""
    kafka = Kafka(
        security="sasl_plaintext",
        sasl_mechanism=mechanism,  # type: ignore[arg-type]
        user="u",
        password=Secret(env="T_PASSWORD"),
    )
    for value in ("one", "two"):
        monkeypatch.setenv("T_PASSWORD", value)
        assert kafka_options(kafka) == {
            "bootstrap_servers": ["127.0.0.1:9092"],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": mechanism,
            "sasl_plain_username": "u",
            "sasl_plain_password": value,
        }
    monkeypatch.delenv("T_PASSWORD")
    with pytest.raises(SecretError, match="T_PASSWORD"):
        kafka_options(kafka)


def test_clickhouse_by_http_and_https(authority: Authority) -> None:
    """Ports by default, and what says who we are."""
    plain = clickhouse_options(ClickHouse(url="http://h", password="p"))  # noqa: S106 - of this test
    assert plain == {"host": "h", "port": 8123, "secure": False, "username": "default", "password": "p"}
    files = {"ca_file": "ca", "cert_file": "c", "key_file": "k"}
    secure = clickhouse_options(ClickHouse(url="https://h", **files))  # type: ignore[arg-type]
    assert (secure["port"], secure["secure"], secure["verify"], secure["ca_cert"]) == (8443, True, True, "ca")
    assert (secure["client_cert"], secure["client_cert_key"], secure["tls_mode"]) == ("c", "k", "mutual")
    both = clickhouse_options(ClickHouse(url="https://h", password="p", **files))  # type: ignore[arg-type]  # noqa: S106
    assert both["tls_mode"] == "strict"


def test_the_environment_names_users_files_and_secrets(authority: Authority, tmp_path: Path) -> None:
    """A password as text, or NAME_FILE for the file it is in; text wins."""
    (tmp_path / "pw").write_text("from the file\n")
    own = authority.issue("w.test", password=KEY_PASSWORD)
    settings = load(
        None,
        {
            "TOCSIN_KAFKA_SECURITY": "sasl_ssl",
            "TOCSIN_KAFKA_CA_FILE": str(authority.ca),
            "TOCSIN_KAFKA_CERT_FILE": str(own.cert),
            "TOCSIN_KAFKA_KEY_FILE": str(own.key),
            "TOCSIN_KAFKA_KEY_PASSWORD": KEY_PASSWORD,
            "TOCSIN_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "TOCSIN_KAFKA_USER": "u",
            "TOCSIN_KAFKA_PASSWORD_FILE": str(tmp_path / "pw"),
            "TOCSIN_CLICKHOUSE": "https://h",
            "TOCSIN_CLICKHOUSE_CA_FILE": str(authority.ca),
            "TOCSIN_CLICKHOUSE_PASSWORD": "text",
            "TOCSIN_CLICKHOUSE_PASSWORD_FILE": "/nowhere",
            "TOCSIN_REGISTRY_PASSWORD_FILE": str(tmp_path / "pw"),
        },
    )
    options = kafka_options(settings.kafka)
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "from the file")
    assert options["sasl_mechanism"] == "SCRAM-SHA-256"
    assert clickhouse_options(settings.clickhouse)["password"] == "text"  # noqa: S105 - of this test
    assert settings.registry.password == Secret(file=str(tmp_path / "pw"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("kafka: {security: tls}", ["kafka.security", "'tls'", "Invalid enum"]),
        ("kafka: {bootstrap: ','}", ["kafka.bootstrap", "HOST:PORT"]),
        ("kafka: {security: ssl, ca_file: /nowhere.pem}", ["kafka.ca_file", "/nowhere.pem", "No such file"]),
        ("kafka: {security: ssl, ca_file: FOLDER}", ["kafka.ca_file", "directory"]),
        ("kafka: {security: ssl, ca_file: TEXT}", ["kafka.ca_file", "certificates in PEM"]),
        ("kafka: {security: ssl, cert_file: CERT}", ["kafka.key_file", "kafka.cert_file is set"]),
        ("kafka: {security: ssl, key_file: KEY}", ["kafka.cert_file", "kafka.key_file is set"]),
        ("kafka: {security: ssl, cert_file: CERT, key_file: TEXT}", ["kafka.cert_file", "its key"]),
        ("kafka: {security: ssl, cert_file: CERT, key_file: OTHER}", ["kafka.cert_file", "MISMATCH"]),
        ("kafka: {security: ssl, cert_file: CERT, key_file: KEY}", ["key_password missing"]),
        (
            "kafka: {security: ssl, cert_file: CERT, key_file: KEY, key_password: wrong}",
            ["kafka.cert_file", "key_password right"],
        ),
        ("kafka: {ca_file: CA}", ["kafka.ca_file", "security is plaintext"]),
        ("kafka: {security: sasl_ssl, password: x}", ["kafka.user", "security is sasl_ssl"]),
        ("kafka: {security: sasl_ssl, user: u}", ["kafka.password", "{file: PATH}"]),
        ("kafka: {user: u}", ["kafka.user", "security is plaintext"]),
        ("kafka: {security: sasl_ssl, sasl_mechanism: GSSAPI}", ["kafka.sasl_mechanism", "'GSSAPI'"]),
        (
            "kafka: {security: sasl_ssl, user: u, password: {env: T_NOT_THERE}}",
            ["kafka.password", "T_NOT_THERE", "set it"],
        ),
        (
            "kafka: {security: sasl_ssl, user: u, password: {file: /nowhere}}",
            ["kafka.password", "/nowhere", "No such file"],
        ),
        (
            "kafka: {security: sasl_ssl, user: u, password: {env: A, file: B}}",
            ["kafka.password", "one of env"],
        ),
        ("kafka: {security: sasl_ssl, user: u, password: {}}", ["kafka.password", "neither", "one of env"]),
        ("clickhouse: {ca_file: CA}", ["clickhouse.ca_file", "an https:// address"]),
        ("clickhouse: {url: 'https://h', ca_file: TEXT}", ["clickhouse.ca_file", "certificates in PEM"]),
        ("clickhouse: {url: 'https://h', cert_file: CERT}", ["clickhouse.key_file"]),
        ("clickhouse: {password: {file: /nowhere}}", ["clickhouse.password", "/nowhere"]),
        ("registry: {password: {env: T_NOT_THERE}}", ["registry.password", "T_NOT_THERE"]),
    ],
)
def test_what_is_wrong_is_named_before_anything_connects(
    authority: Authority, tmp_path: Path, text: str, parts: list[str]
) -> None:
    """Key, value and what was expected."""
    own = authority.issue("own.test", password=KEY_PASSWORD)
    (tmp_path / "text").write_text("no certificate")
    names = {
        "FOLDER": tmp_path,
        "TEXT": tmp_path / "text",
        "CERT": own.cert,
        "KEY": own.key,
        "OTHER": authority.issue("another.test").key,
        "CA": authority.ca,
    }
    for name, path in names.items():
        text = text.replace(f": {name}", f": {path}")
    (tmp_path / "tocsin.yaml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "tocsin.yaml")
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize("key", ["password", "key_password"])
def test_no_message_shows_a_secret(tmp_path: Path, key: str) -> None:
    """YAML makes a number of some passwords; the complaint names the key alone."""
    (tmp_path / "tocsin.yaml").write_text(f"kafka: {{{key}: 20261126}}")
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "tocsin.yaml")
    assert f"kafka.{key}" in str(refused.value)
    assert "20261126" not in str(refused.value)


def test_every_client_takes_its_options_from_the_settings() -> None:
    """An address alone would leave out TLS and login, so only messages and the demo's own broker name one."""
    root = Path(__file__).parents[2]
    found = [
        f"{path.relative_to(root)}:{number}"
        for folder in ("streams", "sinks", "cli", "console")
        for path in (root / folder).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "bootstrap_servers=" in line or "kafka.bootstrap" in line or "username=settings" in line
    ]
    assert found == []


def test_a_secret_that_has_gone_is_waited_for(tmp_path: Path) -> None:
    """While it is exchanged a worker must not end: it is a failure that passes."""
    (tmp_path / "pw").write_text("one")
    kafka = Kafka(security="sasl_plaintext", user="u", password=Secret(file=str(tmp_path / "pw")))
    assert kafka_options(kafka)["sasl_plain_password"] == "one"  # noqa: S105 - of this test
    (tmp_path / "pw").unlink()
    with pytest.raises(SecretError, match="cannot read") as gone:
        kafka_options(kafka)
    assert passing(gone.value)
