"""An OpenID provider of our own that can lie: PKCE enforced, each part of its answers can be bent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT = "tocsin-console"
SECRET = "s3cret-of-the-client"  # noqa: S105 - of a provider that lives for one test


class Liar:
    """At 127.0.0.1, in a thread. `bend` gets the claims of the ID token and returns what is sent."""

    def __init__(self) -> None:
        self.user: dict[str, Any] = {"sub": "u1", "preferred_username": "ann", "groups": ["sre"]}
        self.info: dict[str, Any] = {}
        self.bend: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.metadata: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = self._signed
        self.token: dict[str, Any] | None = None
        """in place of what the token endpoint answers"""
        self.down = False
        self.asked: list[dict[str, str]] = []
        """forms the token endpoint got"""
        self.new_key("k1")

    def new_key(self, kid: str) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": kid, "alg": "RS256", "use": "sig"})

    def _signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        """alg none."""
        import json

        parts = (json.dumps({"alg": "none"}), json.dumps(claims))
        return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."

    def with_the_secret(self, claims: dict[str, Any]) -> str:
        """As if our own secret were the key."""
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET * 2), algorithms=["HS256"])

    def code_for(self, query: dict[str, str]) -> str:
        """What the browser is sent back with after it agreed, as a query."""
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return urlencode({"code": code, "state": query["state"]})

    # the server

    def __enter__(self) -> Self:
        self._codes: dict[str, dict[str, str]] = {}
        self._loop = asyncio.new_event_loop()
        started = threading.Event()

        async def start() -> None:
            app = web.Application()
            app.router.add_get("/.well-known/openid-configuration", self._metadata)
            app.router.add_get("/keys", self._keys)
            app.router.add_post("/token", self._token)
            app.router.add_get("/userinfo", self._userinfo)
            self._runner = web.AppRunner(app)
            await self._runner.setup()
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
            self.issuer = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
            started.set()

        self._loop.create_task(start())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _metadata(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=502)
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/out",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                "code_challenge_methods_supported": ["S256"],
                **self.metadata,
            }
        )

    async def _keys(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def _token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append(form)
        if self.token is not None:
            return web.json_response(self.token)
        query = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        known = request.headers.get("authorization", "")
        expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if query is None or challenge != query.get("code_challenge") or known != expected:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": query.get("nonce"),
            **self.user,
        }
        id_token = self.sign(self.bend(claims))
        return web.json_response(
            {"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}
        )

    async def _userinfo(self, request: web.Request) -> web.Response:
        return web.json_response({"sub": self.user["sub"], **self.info})
