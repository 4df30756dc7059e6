"""How to reach Kafka and ClickHouse: what every client of theirs is made with, in one place.

A `Broker` is the settings' `kafka` section, or an address alone for a broker without security (the
embedded one, the demo's).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config import secrets
from config.response import Problem
from config.secrets import Secret
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

    Files and secrets are read now. Raises `OSError` (of which `ssl.SSLError` is one) or `SecretError`
    when they have gone since the settings were checked.
    """
    options: dict[str, Any] = {"bootstrap_servers": servers(broker)}
    if isinstance(broker, str) or broker.security == "plaintext":
        return options
    options["security_protocol"] = broker.security.upper()
    if _encrypts(broker):
        options["ssl_context"] = _context(broker)
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
    yield from _secret("registry.password", settings.registry.password)


def _kafka_problems(kafka: Kafka) -> Iterator[Problem]:
    if not servers(kafka):
        yield Problem("kafka.bootstrap", kafka.bootstrap, "HOST:PORT, or several with commas")
    if not _encrypts(kafka):
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(kafka, name):
                text = f"nothing while kafka.security is {kafka.security}, or security: ssl or sasl_ssl"
                yield Problem(f"kafka.{name}", getattr(kafka, name), text)
    if _says_who(kafka):
        if not kafka.user:
            yield Problem("kafka.user", kafka.user, f"a user, because kafka.security is {kafka.security}")
        if not kafka.password:
            yield Problem("kafka.password", "", "a password: text, {env: NAME} or {file: PATH}")
    elif kafka.user:
        text = f"nothing while kafka.security is {kafka.security}, or security: sasl_ssl"
        yield Problem("kafka.user", kafka.user, text)
    yield from _pair("kafka", kafka)
    wrong = [*_secret("kafka.password", kafka.password), *_secret("kafka.key_password", kafka.key_password)]
    yield from wrong
    if _encrypts(kafka) and not wrong:
        yield from _files("kafka", kafka, secrets.read(kafka.key_password))


def _clickhouse_problems(clickhouse: ClickHouse) -> Iterator[Problem]:
    yield from _secret("clickhouse.password", clickhouse.password)
    secure = clickhouse.url.startswith("https://")
    if not secure:
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(clickhouse, name):
                text = f"nothing while clickhouse.url is {clickhouse.url}, or an https:// address"
                yield Problem(f"clickhouse.{name}", getattr(clickhouse, name), text)
    yield from _pair("clickhouse", clickhouse)
    if secure:
        yield from _files("clickhouse", clickhouse, "")


def _secret(key: str, secret: str | Secret) -> Iterator[Problem]:
    if isinstance(secret, str):
        return
    if bool(secret.env) == bool(secret.file):
        yield Problem(key, "both" if secret.env else "neither", "one of env: NAME and file: PATH")
        return
    try:
        secrets.read(secret)
    except secrets.SecretError as error:
        yield Problem(key, secret.env or secret.file, f"a secret to be there: {error}")


def _pair(section: str, settings: Kafka | ClickHouse) -> Iterator[Problem]:
    """A certificate is of no use without its key, nor a key without its certificate."""
    if bool(settings.cert_file) != bool(settings.key_file):
        missing, given = ("key_file", "cert_file") if settings.cert_file else ("cert_file", "key_file")
        yield Problem(f"{section}.{missing}", "", f"a PEM file, because {section}.{given} is set")


def _files(section: str, settings: Kafka | ClickHouse, key_password: str) -> Iterator[Problem]:
    """Each file is opened and understood, so that a bad one is named before anything connects."""
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(settings, name)
        if path:
            try:
                Path(path).read_bytes()
            except OSError as error:
                yield Problem(f"{section}.{name}", path, f"a PEM file that can be read ({error.strerror})")
                return
    if settings.ca_file:
        try:
            ssl.create_default_context(cafile=settings.ca_file)
        except (ssl.SSLError, ValueError) as error:
            yield Problem(f"{section}.ca_file", settings.ca_file, f"certificates in PEM ({error})")
    if settings.cert_file and settings.key_file:
        try:
            _own_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings, key_password)
        except (ssl.SSLError, ValueError) as error:
            text = (
                f"a certificate in PEM and, in {section}.key_file, its key ({_of_key(error, key_password)})"
            )
            yield Problem(f"{section}.cert_file", settings.cert_file, text)


def _of_key(error: Exception, key_password: str) -> str:
    """What OpenSSL means when a key is encrypted, which it does not say."""
    if "PEM lib" in str(error) or "bad decrypt" in str(error).lower():
        return f"{error}; is key_password {'right' if key_password else 'missing'}?"
    return str(error)


def _encrypts(kafka: Kafka) -> bool:
    return kafka.security in ("ssl", "sasl_ssl")


def _says_who(kafka: Kafka) -> bool:
    return kafka.security in ("sasl_plaintext", "sasl_ssl")


def _context(kafka: Kafka) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=kafka.ca_file or None)
    context.check_hostname = kafka.check_hostname
    if kafka.cert_file:
        _own_certificate(context, kafka, secrets.read(kafka.key_password))
    return context


def _own_certificate(context: ssl.SSLContext, settings: Kafka | ClickHouse, key_password: str) -> None:
    # Text, even empty: without a password OpenSSL would ask for one on the terminal.
    context.load_cert_chain(settings.cert_file, settings.key_file, password=lambda: key_password)
