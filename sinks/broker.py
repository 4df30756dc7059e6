"""Why a broker does not let us in, in words.

aiokafka says of a wrong password, an unknown authority and a machine that is off the same: that it could
not connect. So when it has failed, each server is knocked at once more and the reason is kept.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any

from aiokafka.conn import create_conn, get_ip_port_afi
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from config.connect import Broker, kafka_options, servers
from config.settings import Kafka

KNOCK_MS = 3_000
"""so long a server may take to answer"""

_HOSTNAME_MISMATCH = 62
_IP_MISMATCH = 64
_EXPIRED = 10


async def why_not(broker: Broker) -> str:
    """What has to be set right before this broker lets us in; empty where waiting may help.

    That is a certificate or a password one side does not accept, or the wrong protocol. A server that
    is away says nothing about the settings.
    """
    try:
        options = kafka_options(broker)
    except (OSError, ValueError) as error:
        return f"kafka: {error}"
    del options["bootstrap_servers"]
    noise = logging.getLogger("aiokafka")
    level = noise.level
    noise.setLevel(logging.CRITICAL)
    try:
        for server in servers(broker):
            reason = await _knock(broker, server, options)
            if reason:
                return f"Kafka at {server}: {reason}"
    finally:
        noise.setLevel(level)
    return ""


async def _knock(broker: Broker, server: str, options: dict[str, Any]) -> str:
    host, port, _ = get_ip_port_afi(server)
    kafka = Kafka(bootstrap=broker) if isinstance(broker, str) else broker
    try:
        connection = await create_conn(host, port, request_timeout_ms=KNOCK_MS, **options)
    except ssl.SSLCertVerificationError as error:
        return _distrust(kafka, error)
    except ssl.SSLError as error:
        return (
            f"no TLS ({error.reason or error}): check kafka.security ({kafka.security}) and that the port is"
            " the listener for it"
        )
    except UnsupportedSaslMechanismError:
        return f"it does not offer {kafka.sasl_mechanism}: check kafka.sasl_mechanism"
    except (AuthenticationFailedError, SaslAuthenticationFailed):
        return (
            f"it refuses user {kafka.user!r} with {kafka.sasl_mechanism}: check kafka.user, kafka.password"
            " (TOCSIN_KAFKA_USER, _PASSWORD, _PASSWORD_FILE) and kafka.sasl_mechanism"
        )
    except IllegalSaslStateError:
        return f"it asks for no login: check kafka.security ({kafka.security})"
    except KafkaConnectionError as error:
        return _hung_up(kafka, error)
    except (ConnectionResetError, ConnectionAbortedError):
        return (
            f"it closes the connection in the middle of the handshake: check kafka.security"
            f" ({kafka.security}) and that the port is the listener for it"
        )
    except (KafkaError, OSError, ValueError, AssertionError):
        return ""  # away, or busy: nothing that the settings could mend
    try:
        # A listener that wants a login tells its versions to everybody, and hangs up at the next question.
        await connection.send(MetadataRequest([]))
    except KafkaConnectionError:
        return f"it answers nobody without a login: check kafka.security ({kafka.security}), kafka.user"
    except (KafkaError, OSError):
        return ""
    finally:
        connection.close()
    return ""


def _distrust(kafka: Kafka, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (_HOSTNAME_MISMATCH, _IP_MISMATCH):
        return (
            f"its certificate is for another host ({error.verify_message}): connect by a name that is in it,"
            " or set kafka.check_hostname: false"
        )
    if error.verify_code == _EXPIRED:
        return "its certificate has expired: renew it on the broker, or set this machine's clock right"
    trusted = kafka.ca_file or "the system's authorities, because none is set"
    return (
        f"its certificate is not trusted ({error.verify_message}): check kafka.ca_file"
        f" (TOCSIN_KAFKA_CA_FILE), now {trusted}"
    )


def _hung_up(kafka: Kafka, error: KafkaConnectionError) -> str:
    """The server took the connection and closed it at our first words; it has no way to say why."""
    alert = f" ({error.__cause__.reason})" if isinstance(error.__cause__, ssl.SSLError) else ""
    if kafka.security in ("ssl", "sasl_ssl"):
        own = (
            f"it may not accept our certificate, {kafka.cert_file}"
            if kafka.cert_file
            else ("it may ask for a certificate of ours: set kafka.cert_file and kafka.key_file")
        )
        return f"it closes the connection after the TLS handshake{alert}: {own}"
    return (
        f"it closes the connection at our first request: it may expect TLS or a login;"
        f" check kafka.security ({kafka.security})"
    )
