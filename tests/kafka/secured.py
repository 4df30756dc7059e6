"""The real Apache Kafka with listeners for TLS, TLS and password, and TLS with certificates of both sides."""

from __future__ import annotations

from pathlib import Path

from config.settings import Kafka
from embedded.probe import LOOPBACK, free_port
from tests.certificates import Authority, Pair
from tests.kafka.cluster import KafkaCluster

USER, PASSWORD = "tocsin", "correct horse"
LISTENERS = ("SSL", "MUTUAL", "SASL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Secured:
    """A cluster, and settings that are let in. The plain listener of `KafkaCluster` stays for its probe."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.stranger = Authority(folder, "stranger")
        self.client: Pair = self.authority.issue("worker.test", common_name="worker")
        self._server = self.authority.issue(LOOPBACK)
        self.ports = {name: free_port() for name in LISTENERS}
        self.cluster = KafkaCluster(folder)
        self.cluster._settings.update(self._properties())
        self.cluster.format_with = [
            option
            for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for option in ("--add-scram", f"{kind}=[name={USER},password={PASSWORD}]")
        ]

    def settings(self, listener: str, **given: object) -> Kafka:
        """Kafka settings for a listener: its address and our authority, changed by `given`."""
        base: dict[str, object] = {
            "bootstrap": f"{LOOPBACK}:{self.ports[listener]}",
            "security": "sasl_ssl" if listener == "SASL" else "ssl",
            "ca_file": str(self.authority.ca),
        }
        if listener == "SASL":
            base |= {"user": USER, "password": PASSWORD}
        return Kafka(**(base | given))  # type: ignore[arg-type]

    def mutual(self, **given: object) -> Kafka:
        """With our certificate."""
        own: dict[str, object] = {"cert_file": str(self.client.cert), "key_file": str(self.client.key)}
        return self.settings("MUTUAL", **(own | given))

    def _properties(self) -> dict[str, str]:
        plain = self.cluster.bootstrap
        controller = f"{LOOPBACK}:{self.cluster._controller_port}"
        here = [f"{name}://{LOOPBACK}:{port}" for name, port in self.ports.items()]
        login = "org.apache.kafka.common.security"
        keystore = self._server.key.with_name("server.pem")
        keystore.write_bytes(self._server.key.read_bytes() + self._server.cert.read_bytes())
        return {
            "listeners": ",".join([f"PLAINTEXT://{plain}", *here, f"CONTROLLER://{controller}"]),
            "advertised.listeners": ",".join([f"PLAINTEXT://{plain}", *here]),
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": (
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,MUTUAL:SSL,SASL:SASL_SSL"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.ca),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.sasl.sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "listener.name.sasl.plain.sasl.jaas.config": (
                f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            ),
            **{
                f"listener.name.sasl.{kind.lower()}.sasl.jaas.config": (
                    f"{login}.scram.ScramLoginModule required;"
                )
                for kind in MECHANISMS[1:]
            },
        }
