"""The embedded ClickHouse as a process of its own: ``python -m embedded.clickhouse --port P --data-dir DIR``.

A process of its own because chDB allows one process per data directory, and because the worker should
reach it as it reaches a server.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import ssl
import sys
from pathlib import Path

import msgspec

from embedded.broker import MissingExtra
from embedded.probe import http_ok
from embedded.supervisor import Child


def clickhouse_child(port: int, data_dir: Path, *, name: str = "clickhouse") -> Child:
    """The service as a supervised child; raises MissingExtra when chDB or aiohttp are not installed."""
    missing = [module for module in ("chdb", "aiohttp") if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtra(
            f"the embedded ClickHouse needs {' and '.join(missing)}: pip install 'tocsin[embedded]'"
        )
    return Child(
        name=name,
        argv=[sys.executable, "-m", "embedded.clickhouse", "--port", str(port), "--data-dir", str(data_dir)],
        ready=lambda: http_ok(port, "/?query=SELECT%201"),
        env={"TZ": "UTC"},  # the engine takes its time zone from here; the same everywhere
        ready_timeout_s=60.0,
        stop_timeout_s=10.0,
    )


def main() -> int:
    """Run the service in the foreground until SIGTERM or Ctrl-C; exit status 1 when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m embedded.clickhouse", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--users", type=Path, help="JSON: users and roles, see embedded/ch_users.py")
    parser.add_argument("--tls-cert", type=Path, help="certificate, PEM; with it HTTPS alone")
    parser.add_argument("--tls-key", type=Path, help="its key, PEM")
    parser.add_argument("--tls-ca", type=Path, help="ask clients for a certificate of this authority")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Imported here: the parent imports this module for clickhouse_child and must not load the engine.
    from embedded.ch_engine import Engine, EngineError
    from embedded.ch_front import serve
    from embedded.ch_users import Users

    users = msgspec.json.decode(options.users.read_bytes(), type=Users) if options.users else None
    tls = _tls(options.tls_cert, options.tls_key, options.tls_ca) if options.tls_cert else None
    config = users.write(options.data_dir.with_name(f"{options.data_dir.name}-config")) if users else None
    try:
        engine = Engine(options.data_dir, config)
    except EngineError as error:
        print(f"embedded ClickHouse: {error}", file=sys.stderr)
        return 1
    scheme = "https" if tls else "http"
    print(f"ClickHouse {engine.version} on {scheme}://127.0.0.1:{options.port}, data in {options.data_dir}")
    try:
        serve(engine, options.port, users, tls)
    except OSError as error:
        print(f"embedded ClickHouse: cannot listen on 127.0.0.1:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


def _tls(cert: Path, key: Path, ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_OPTIONAL  # a password will do as well, as with the server
    return context


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # The engine is closed; its own threads must not keep the process from ending.
    os._exit(status)
