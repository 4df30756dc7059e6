"""Login by OpenID Connect: code flow with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import httpx2
import msgspec
from authlib.integrations.base_client import MismatchingStateError
from authlib.integrations.starlette_client import OAuth, OAuthError
from itsdangerous import BadSignature, URLSafeSerializer
from joserfc.errors import BadSignatureError, JoseError
from starlette.requests import Request

from config import tls
from config.oidc import Oidc
from console.access.claims import NotLetIn, find, identity_from
from console.access.identity import Identity
from sinks.targets.secrets import read

KEPT_MS = 600_000
"""how long somebody may take at the provider"""
FRESH_MS = 3_600_000
"""how long the provider's own description (endpoints, keys) is believed"""
LEEWAY_S = 60
"""by which clocks may differ"""
SIGNED = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""public keys only: never `none`, and never our secret as a key"""
ELSEWHERE = "this login began in another browser or too long ago, or was used already"

log = logging.getLogger(__name__)


class LoginFailed(Exception):
    """Nobody is logged in; in words. `status`: 400 begin again, 403 refused, 503 the provider is away."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Provider:
    """One provider. It is asked to describe itself when somebody logs in, so that it may start later."""

    def __init__(self, oidc: Oidc, public_url: str, key: str, clock: Callable[[], int]) -> None:
        """`key` signs the cookie of a login under way. Raises `SinkMisconfigured` and `OSError`."""
        self.title = oidc.title
        self.holder = hashlib.sha256(msgspec.json.encode(oidc)).hexdigest()
        """other settings are another provider, and end sessions of the one before"""
        self._oidc = oidc
        self._back = f"{public_url.rstrip('/')}/login/callback"
        self._home = f"{public_url.rstrip('/')}/login"
        self._signer = URLSafeSerializer(key, salt="tocsin console login")
        self._clock = clock
        self._asked_at = 0
        self._secret = read(oidc.client_secret, "console.access.oidc.client_secret")
        self._tls = tls.context_of(oidc)
        self._client = self._new_client()

    def _new_client(self) -> Any:
        """One that has not asked the provider anything."""
        oidc = self._oidc
        return OAuth().register(
            "provider",
            client_id=oidc.client_id,
            client_secret=self._secret or None,
            server_metadata_url=f"{oidc.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": " ".join(oidc.scopes),
                "code_challenge_method": "S256",
                "timeout": oidc.timeout_s,
                "verify": self._tls,
                **({} if self._secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    async def begin(self, request: Request, on: str) -> tuple[str, str]:
        """Where the browser goes, and the cookie that it comes back with. Raises `LoginFailed`."""
        kept: dict[str, Any] = {}
        request.scope["session"] = kept
        try:
            client = await self._described()
            answer = await client.authorize_redirect(request, self._back)
        except Exception as error:
            raise self._failed(error) from error
        return answer.headers["location"], str(self._signer.dumps([self._clock() + KEPT_MS, on, kept]))

    async def end(self, request: Request, cookie: str) -> tuple[Identity, str]:
        """Who came back, and the path they wanted. Raises `LoginFailed`."""
        try:
            until, on, kept = self._signer.loads(cookie)
        except (BadSignature, ValueError):
            until, on, kept = 0, "", {}
        if self._clock() >= until:
            raise LoginFailed(400, f"{ELSEWHERE}: begin again")
        request.scope["session"] = kept
        try:
            client = await self._described()
            self._same_issuer(request.query_params.get("iss"))
            claims = await self._claims(client, request)
            return identity_from(claims, self._oidc), str(on)
        except NotLetIn as error:
            raise LoginFailed(403, str(error)) from error
        except Exception as error:
            raise self._failed(error) from error

    async def _claims(self, client: Any, request: Request) -> Mapping[str, Any]:
        options = {
            "iss": {"essential": True, "value": client.server_metadata["issuer"]},
            "aud": {"essential": True, "value": self._oidc.client_id},
        }
        given = await client.authorize_access_token(request, claims_options=options, leeway=LEEWAY_S)
        claims = given.get("userinfo")
        if claims is None:
            raise LoginFailed(403, f"{self.title} sent no ID token: is openid among its scopes?")
        wanted = (self._oidc.role_claim, self._oidc.domains_claim, self._oidc.name_claim)
        missing = [claim for claim in wanted if claim and find(claims, claim) is None]
        if missing and client.server_metadata.get("userinfo_endpoint"):
            more = await client.userinfo(token=given)
            if more.get("sub") != claims["sub"]:  # OpenID Connect Core 5.3.2: it may be somebody else's
                raise LoginFailed(403, f"{self.title} told us about two people")
            claims = {**more, **claims}
        return claims  # type: ignore[no-any-return]

    async def _described(self) -> Any:
        """A client that knows the provider's metadata, checked: of this issuer, signed as we believe.

        Asked anew it is another client, so that nobody sees metadata that are not checked yet.
        """
        now = self._clock()
        if now - self._asked_at < FRESH_MS:
            return self._client
        client = self._new_client()
        data: MutableMapping[str, Any] = await client.load_server_metadata()
        self._same_issuer(data.get("issuer") or "nobody")
        offered = data.get("id_token_signing_alg_values_supported") or ["RS256"]
        data["id_token_signing_alg_values_supported"] = [one for one in offered if one in SIGNED] or ["RS256"]
        self._client, self._asked_at = client, now
        return client

    def _same_issuer(self, said: str | None) -> None:
        """RFC 9207: an answer of another provider is none."""
        if said is not None and said.rstrip("/") != self._oidc.issuer.rstrip("/"):
            raise LoginFailed(403, f"{self.title} says it is {said[:200]}, expected {self._oidc.issuer}")

    def leave(self) -> str:
        """Where one logs out at the provider as well; empty where it offers none, or was not asked yet."""
        at = str(self._client.server_metadata.get("end_session_endpoint") or "")
        if not at.startswith(("https://", "http://")):
            return ""
        query = httpx2.QueryParams(client_id=self._oidc.client_id, post_logout_redirect_uri=self._home)
        return f"{at}{'&' if '?' in at else '?'}{query}"

    def _failed(self, error: Exception) -> LoginFailed:
        """In words. Never the texts of tokens. What we have not heard of is a bug, and is raised as it is."""
        match error:
            case LoginFailed():
                return error
            case MismatchingStateError():
                return LoginFailed(
                    400, "this login began in another browser, or was used already: begin again"
                )
            case OAuthError():
                said = f"{error.error}: {error.description}" if error.description else str(error.error)
                return LoginFailed(403, f"{self.title} refused: {said[:300]}")
            case BadSignatureError():
                self._asked_at = 0  # it may have new keys under an old name
                return LoginFailed(403, f"what {self.title} sent is not signed by its keys")
            case JoseError():
                return LoginFailed(403, f"what {self.title} sent does not hold: {str(error)[:300]}")
            case httpx2.HTTPError() | httpx2.InvalidURL():
                return LoginFailed(503, f"{self.title} does not answer as it should ({_short(error)})")
            case ValueError() | RuntimeError() | KeyError() | TypeError() | AttributeError():
                log.warning("%s: an answer that is not understood", self._oidc.issuer, exc_info=error)
                return LoginFailed(503, f"{self.title} answers what no provider should ({_short(error)})")
        raise error


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}".removesuffix(": ")
