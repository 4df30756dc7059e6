"""How clients reach Kafka."""

from __future__ import annotations

from typing import Any

from config.settings import Kafka


def kafka_options(kafka: Kafka) -> dict[str, Any]:
    """Keyword arguments of every aiokafka client."""
    return {"bootstrap_servers": kafka.bootstrap.split(",")}
