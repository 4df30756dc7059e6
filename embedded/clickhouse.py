"""The embedded ClickHouse as a process of its own: ``python -m embedded.clickhouse --port P --data-dir DIR``.

A process of its own because chDB allows one process per data directory, and because the worker should
reach it as it reaches a server.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
from pathlib import Path

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
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Imported here: the parent imports this module for clickhouse_child and must not load the engine.
    from embedded.ch_engine import Engine, EngineError
    from embedded.ch_front import serve

    try:
        engine = Engine(options.data_dir)
    except EngineError as error:
        print(f"embedded ClickHouse: {error}", file=sys.stderr)
        return 1
    print(f"ClickHouse {engine.version} on http://127.0.0.1:{options.port}, data in {options.data_dir}")
    try:
        serve(engine, options.port)
    except OSError as error:
        print(f"embedded ClickHouse: cannot listen on 127.0.0.1:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # The engine is closed; its own threads must not keep the process from ending.
    os._exit(status)
