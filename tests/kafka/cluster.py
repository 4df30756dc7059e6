"""A real Apache Kafka on loopback: one KRaft node that is broker and controller, for the tests.

    with KafkaCluster() as kafka:
        kafka.bootstrap                 # "127.0.0.1:25113"
        kafka.kill(); kafka.start()     # kill -9, then the same data directory again

The jars come from Maven Central once (see deploy/kafka/pom.xml) and are cached; a run with a filled
cache needs Java 17 or newer and no network.

Broker defaults the tests may rely on: topics are not created by use (a test that forgets to create one
should fail here as it would in production), one replica everywhere, no delay before the first
rebalance, and a log cleaner that looks for work every 200 ms, so that compaction can be watched on a
topic with a short ``segment.ms`` and a small ``min.cleanable.dirty.ratio``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from embedded.probe import LOOPBACK, free_port, speaks_kafka
from embedded.supervisor import Child, Supervisor

POM: Final = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"
_NAME: Final = "apache-kafka"
_JAVA_AT_LEAST: Final = 17
_CLUSTER_ID: Final = "dG9jc2luLXRlc3RzLTAwMQ"  # 16 fixed bytes in base64: any cluster id will do

_LOG4J: Final = """\
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


class KafkaUnavailable(RuntimeError):
    """This machine cannot run Apache Kafka; the message says what is missing."""


def kafka_version(pom: Path = POM) -> str:
    """The Apache Kafka version named in the pom; raises KafkaUnavailable when it names none."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", pom.read_text())
    if found is None:
        raise KafkaUnavailable(f"{pom} names no kafka.version")
    return found.group(1)


def cache_dir(pom: Path = POM) -> Path:
    """Where this pom's jars are kept: ``$XDG_CACHE_HOME/tocsin/kafka-VERSION-DIGEST``."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.blake2b(pom.read_bytes(), digest_size=4).hexdigest()
    return root / "tocsin" / f"kafka-{kafka_version(pom)}-{digest}"


def fetch_jars(pom: Path = POM) -> Path:
    """The directory with Kafka's jars, filled through Maven when it is not there yet.

    Safe to call from several processes at once. Raises KafkaUnavailable when mvn is missing or fails.
    """
    home = cache_dir(pom)
    if home.is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if home.is_dir():  # somebody else filled it while we waited
            return home
        maven = shutil.which("mvn")
        if maven is None:
            raise KafkaUnavailable(
                f"mvn is not installed and {home} is empty: apt-get install -y maven openjdk-17-jre-headless"
            )
        # Filled beside its place and then renamed: an interrupted download never looks like a cache.
        with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetch-") as scratch:
            jars = Path(scratch) / "jars"
            command = [maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies"]
            command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
            ran = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600
            )
            if ran.returncode != 0 or not any(jars.glob("kafka_2.13-*.jar")):
                raise KafkaUnavailable(f"mvn could not fetch Kafka:\n{(ran.stdout + ran.stderr)[-2000:]}")
            jars.rename(home)
    return home


def java_binary() -> str:
    """Path of a Java 17 or newer; raises KafkaUnavailable when there is none."""
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailable("java is not installed: apt-get install -y openjdk-17-jre-headless")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found.group(1)) < _JAVA_AT_LEAST:
        raise KafkaUnavailable(f"Java {_JAVA_AT_LEAST} or newer is needed, this is: {said.splitlines()[:1]}")
    return java


class KafkaCluster:
    """One node. ``settings`` override broker properties; without ``data_dir`` a temporary one is used."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        heap: str = "512m",
        supervisor: Supervisor | None = None,
    ) -> None:
        self._own_supervisor = supervisor is None
        self._supervisor = supervisor or Supervisor(data_dir)
        self.data_dir = (data_dir or self._supervisor.data_dir).resolve() / "kafka"
        self._settings = dict(settings or {})
        self._heap = heap
        self.format_with: list[str] = []
        """further options of the storage tool, for a new data directory"""
        # Kept over restarts, so that clients find the broker again where it was.
        self._port = free_port()
        self._controller_port = free_port()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bootstrap(self) -> str:
        """Bootstrap address, host:port."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self._supervisor.pid(_NAME)

    def start(self) -> None:
        """Format the data directory if it is new, start the node, wait until it answers.

        Raises KafkaUnavailable when jars or Java are missing, ChildFailed when the node does not come up.
        """
        java, jars = java_binary(), fetch_jars()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        config = self._write_config()
        if not (self.data_dir / "logs" / "meta.properties").exists():
            self._format(java, jars, config)
        # Serial collector: less memory and fewer threads on small machines than the default.
        flags = [f"-Xmx{self._heap}", "-Xms128m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]
        argv = self._java(java, jars, [*flags, "kafka.Kafka", str(config)])
        self._supervisor.start(
            Child(
                _NAME,
                argv,
                ready=lambda: speaks_kafka(self._port),
                cwd=self.data_dir,
                ready_timeout_s=90,
                stop_timeout_s=20,
            )
        )

    def stop(self) -> None:
        """Orderly stop; the data stays for the next ``start``."""
        self._supervisor.stop(_NAME)

    def kill(self) -> None:
        """``kill -9``; the data stays for the next ``start``."""
        self._supervisor.kill(_NAME)

    def restart(self) -> None:
        """Orderly stop, then start on the same data and ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop for good; removes a temporary data directory."""
        if self._own_supervisor:
            self._supervisor.close()
        else:
            self.stop()

    def log(self, lines: int = 40) -> str:
        """The broker's last log lines."""
        return self._supervisor.tail(_NAME, lines)

    # -- inside -----------------------------------------------------------------------------------

    def _write_config(self) -> Path:
        (self.data_dir / "log4j2.properties").write_text(_LOG4J)
        broker, controller = self.bootstrap, f"{LOOPBACK}:{self._controller_port}"
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@{controller}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.data_dir / "logs"),
            "auto.create.topics.enable": "false",
            "num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After kill -9 the controller refuses the broker until its old session is over: keep that short.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "500",
            "log.cleaner.backoff.ms": "200",
            "log.cleaner.dedupe.buffer.size": str(16 << 20),
            "log.segment.delete.delay.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "4",
            **self._settings,
        }
        config = self.data_dir / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return config

    def _format(self, java: str, jars: Path, config: Path) -> None:
        storage = ["-Xmx128m", "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(config)]
        storage += self.format_with
        ran = subprocess.run(
            self._java(java, jars, storage), capture_output=True, text=True, check=False, timeout=60
        )
        if ran.returncode != 0:
            raise KafkaUnavailable(f"the storage tool failed:\n{(ran.stdout + ran.stderr)[-2000:]}")

    def _java(self, java: str, jars: Path, rest: Sequence[str]) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}"
        return [java, log4j, "-cp", f"{jars}/*", *rest]
