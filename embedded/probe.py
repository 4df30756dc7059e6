"""Small blocking questions to ask of a service on this machine: is it there, does it answer?

Everything here uses plain sockets and no event loop, so that it may be called from anywhere: from a
script, from a pytest fixture, or from code that already runs inside asyncio.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
from collections.abc import Callable

LOOPBACK = "127.0.0.1"

# Below every default ephemeral range (Linux starts at 32768, macOS and Windows at 49152): a port from
# inside that range may be taken by somebody's outgoing connection between our look and the bind.
_PORTS = range(18_000, 32_000)
_TRIES = 200

_METADATA = 3  # api key of Kafka's Metadata request
_CLIENT = b"tocsin-probe"


def port_is_free(port: int) -> bool:
    """Whether a service could bind ``port`` (TCP) on loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port nobody on loopback listens on now; raises OSError when none was found in 200 tries.

    The port is not reserved. It is drawn at random, so that two processes asking at once rarely agree.
    """
    dice = random.SystemRandom()
    for _ in range(_TRIES):
        port = dice.choice(_PORTS)
        if port_is_free(port):
            return port
    raise OSError(f"no free TCP port found on {LOOPBACK} in {_PORTS.start}-{_PORTS.stop}")


def speaks_kafka(port: int, timeout_s: float = 2.0) -> bool:
    """Whether a Kafka broker on loopback answers a Metadata request naming at least one broker."""
    # Metadata v1: header (api key, version, correlation id, client id), then an empty array = no topics.
    request = struct.pack(f">hhih{len(_CLIENT)}si", _METADATA, 1, 1, len(_CLIENT), _CLIENT, 0)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as conn:
            conn.settimeout(timeout_s)
            conn.sendall(struct.pack(">i", len(request)) + request)
            answer = _read_exactly(conn, struct.unpack(">i", _read_exactly(conn, 4))[0])
    except (OSError, EOFError):
        return False
    if len(answer) < 8:
        return False
    correlation: int
    brokers: int
    correlation, brokers = struct.unpack(">ii", answer[:8])
    return correlation == 1 and brokers >= 1


def http_ok(port: int, path: str = "/", timeout_s: float = 2.0) -> bool:
    """Whether ``GET path`` on loopback answers with a status below 300."""
    conn = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
    try:
        conn.request("GET", path)
        return conn.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        conn.close()


def listens(port: int, timeout_s: float = 1.0) -> bool:
    """Whether anything on loopback accepts TCP connections on ``port``."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def http_ready(port: int, path: str = "/") -> Callable[[], bool]:
    """A ready check for :class:`embedded.supervisor.Child`: ``GET path`` answers with success."""
    return lambda: http_ok(port, path)


def _read_exactly(conn: socket.socket, count: int) -> bytes:
    """``count`` bytes from ``conn``; raises EOFError when the peer closes first."""
    if not 0 <= count <= 1 << 20:
        raise EOFError(f"the peer announced {count} bytes, which is no Kafka answer to this request")
    parts = bytearray()
    while len(parts) < count:
        chunk = conn.recv(count - len(parts))
        if not chunk:
            raise EOFError("the peer closed the connection")
        parts += chunk
    return bytes(parts)
