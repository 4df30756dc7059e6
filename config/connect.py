"""How to reach Kafka and ClickHouse: what every client of theirs is made with, in one place.

A `Broker` is the settings' `kafka` section, or an address alone for a broker without security (the
embedded one, the demo's).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from config import secrets, tls
from config.response import Problem
from config.settings import ClickHouse, Kafka, Settings

Broker = Kafka | str


def address(broker: Broker) -> str:
    """HOST:PORT[,HOST:PORT ...], for messages."""
    return broker if isinstance(broker, str) else broker.bootstrap


def servers(broker: Broker) -> list[str]:
    """The HOST:PORT pairs."""
    return [server.strip() for server in address(broker).split(",") if server.strip()]


def kafka_options(broker: Broker) -> dict[str, Any]:
    """Keyword arguments of every aiokafka client: where it is, how to encrypt, as whom.

    Files and secrets are read now. Raises `OSError` (of which `ssl.SSLError` and `SecretError` are) when
    they have gone since the settings were checked.
    """
    options: dict[str, Any] = {"bootstrap_servers": servers(broker)}
    if isinstance(broker, str) or broker.security == "plaintext":
        return options
    options["security_protocol"] = broker.security.upper()
    if _encrypts(broker):
        options["ssl_context"] = tls.context_of(
            broker, broker.key_password, check_hostname=broker.check_hostname
        )
    if _says_who(broker):
        options |= {
            "sasl_mechanism": broker.sasl_mechanism,
            "sasl_plain_username": broker.user,
            "sasl_plain_password": secrets.read(broker.password),
        }
    return options


def clickhouse_options(settings: ClickHouse) -> dict[str, Any]:
    """Keyword arguments of `clickhouse_connect.get_client`: where it is, how to encrypt, as whom.

    Raises `SecretError` when the password is no longer where the settings say.
    """
    url = urlsplit(settings.url)
    secure = url.scheme == "https"
    password = secrets.read(settings.password)
    options: dict[str, Any] = {
        "host": url.hostname or "127.0.0.1",
        "port": url.port or (8443 if secure else 8123),
        "secure": secure,
        "username": settings.user,
        "password": password,
    }
    if secure:
        options["verify"] = settings.verify
        if settings.ca_file:
            options["ca_cert"] = settings.ca_file
        if settings.cert_file:
            options |= {"client_cert": settings.cert_file, "client_cert_key": settings.key_file}
            # strict: the certificate opens the connection, and the password still says who we are.
            options["tls_mode"] = "strict" if password else "mutual"
    return options


def problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong with the two sections, files and secrets included."""
    yield from _kafka_problems(settings.kafka)
    yield from _clickhouse_problems(settings.clickhouse)
    yield from tls.secret_problems("registry.password", settings.registry.password)


def _kafka_problems(kafka: Kafka) -> Iterator[Problem]:
    if not servers(kafka):
        yield Problem("kafka.bootstrap", kafka.bootstrap, "HOST:PORT, or several with commas")
    if not _encrypts(kafka):
        why = f"nothing while kafka.security is {kafka.security}, or security: ssl or sasl_ssl"
        yield from tls.unused("kafka", kafka, why)
    if _says_who(kafka):
        if not kafka.user:
            yield Problem("kafka.user", kafka.user, f"a user, because kafka.security is {kafka.security}")
        if not kafka.password:
            yield Problem("kafka.password", "", "a password: text, {env: NAME} or {file: PATH}")
    elif kafka.user:
        why = f"nothing while kafka.security is {kafka.security}, or security: sasl_ssl"
        yield Problem("kafka.user", kafka.user, why)
    wrong = [
        *tls.secret_problems("kafka.password", kafka.password),
        *tls.secret_problems("kafka.key_password", kafka.key_password),
    ]
    yield from wrong
    if _encrypts(kafka) and not wrong:
        yield from tls.problems("kafka", kafka, kafka.key_password)


def _clickhouse_problems(clickhouse: ClickHouse) -> Iterator[Problem]:
    yield from tls.secret_problems("clickhouse.password", clickhouse.password)
    if clickhouse.url.startswith("https://"):
        yield from tls.problems("clickhouse", clickhouse)
    else:
        why = f"nothing while clickhouse.url is {clickhouse.url}, or an https:// address"
        yield from tls.unused("clickhouse", clickhouse, why)


def _encrypts(kafka: Kafka) -> bool:
    return kafka.security in ("ssl", "sasl_ssl")


def _says_who(kafka: Kafka) -> bool:
    return kafka.security in ("sasl_plaintext", "sasl_ssl")
