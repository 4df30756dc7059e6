"""Serves the console until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from config.settings import Settings
from console.access.control import WeakKey
from console.app import create_app
from console.trail import show_lines
from console.warming import warming
from sinks.protocol import SinkMisconfigured

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class StartError(Exception):
    """It cannot start as it is set up; `next_step` says what to do."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


def serve(
    settings: Settings, host: str, port: int, announce: Callable[[str], None], source: str = ""
) -> None:
    """Listen and serve; port 0 asks for a free one. `source`: the settings file. Raises `StartError`."""
    access = settings.console.access
    if access is None and host not in LOOPBACK:
        raise StartError(
            f"the console listens at {host} only with access control",
            "set console.access in the settings file (tocsin console-token), or listen on 127.0.0.1",
        )
    try:
        app = create_app(settings, source=source)
    except (SinkMisconfigured, WeakKey) as error:
        raise StartError(str(error), "see console.access in the settings file") from error
    show_lines()
    proxies = list(access.trusted_proxies) if access else []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            bound = listener.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            announce(f"console: http://{shown}:{bound}/")
            config = uvicorn.Config(
                app,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
                lifespan="on",
            )
            with warming():
                asyncio.run(uvicorn.Server(config).serve([listener]))
    except OSError as error:
        raise StartError(
            f"cannot listen at {host}:{port} ({error.strerror or error})", "choose another with --listen"
        ) from error
