"""Who may score: an endpoint's keys and tokens, and the check at the front door."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from aiohttp import web

from local.azure_ml.endpoints import Endpoints
from local.azure_ml.errors import user_error
from local.azure_ml.identity import Identity, bearer
from local.azure_ml.operations import Operation, Operations, Status, Verb, Work
from local.azure_ml.scoring.front import EndpointView
from local.azure_ml.store import Json
from local.azure_ml.web import Call, answer

_KEYS = {"primary": "primaryKey", "secondary": "secondaryKey"}
_TOKEN_LIFE = 24 * 3600
_REFRESH_BEFORE = 12 * 3600


class Keys:
    """Keys and tokens of the endpoints."""

    def __init__(self, endpoints: Endpoints, operations: Operations, tokens: Identity) -> None:
        self._endpoints = endpoints
        self._operations = operations
        self._tokens = tokens
        self._views: dict[str, EndpointView] = {}
        self._seen = 0
        operations.register(Verb.REGENERATE_KEYS, Work(do=_no_work, finish=self._finish))

    async def list_keys(self, call: Call) -> web.Response:
        """`POST listKeys`."""
        return answer(self._with_mode(call, "Key")["keys"])

    async def token(self, call: Call) -> web.Response:
        """`POST token`."""
        document = self._with_mode(call, "AMLToken")
        expires = int(self._endpoints.clock.time()) + _TOKEN_LIFE
        claims = {"aud": self._endpoints.arm_id(document["name"]), "exp": expires}
        return answer(
            {
                "accessToken": self._tokens.sign(claims),
                "tokenType": "Bearer",
                "expiryTimeUtc": expires,
                "refreshAfterTimeUtc": expires - _REFRESH_BEFORE,
            }
        )

    async def regenerate(self, call: Call) -> web.Response:
        """`POST regenerateKeys` with `{"keyType", "keyValue"?}`."""
        document = self._with_mode(call, "Key")
        kind = str(call.body.get("keyType"))
        if kind.lower() not in _KEYS:
            raise user_error(f"keyType {kind!r} is not one of Primary, Secondary")
        value = call.body.get("keyValue") or secrets.token_urlsafe(24)
        operation = replace(
            self._operations.new(Verb.REGENERATE_KEYS, document["name"], seconds=0),
            wanted={_KEYS[kind.lower()]: value},
            doom=call.doom,
        )
        headers = self._operations.begin(operation, lambda _url: None, api_version=call.api_version)
        headers["Location"] = self._operations.results_url(operation, call.api_version)
        return answer(None, status=HTTPStatus.ACCEPTED, headers=headers)

    def _finish(self, operation: Operation) -> None:
        if operation.status is not Status.SUCCEEDED or operation.wanted is None:
            return
        document = self._endpoints.existing(operation.endpoint)
        self._endpoints.save({**document, "keys": {**document["keys"], **operation.wanted}})

    def _with_mode(self, call: Call, mode: str) -> Json:
        document = self._endpoints.existing(call.names["endpoint"])
        found = document["properties"]["authMode"]
        if found != mode:
            raise user_error(f"Endpoint '{document['name']}' has authMode {found}, not {mode}")
        return document

    # --- for the data plane

    def view(self, name: str) -> EndpointView | None:
        """Give what the data plane needs; an endpoint still being created is not there."""
        if self._seen != self._endpoints.changes:
            self._views.clear()
            self._seen = self._endpoints.changes
        key = name.lower()
        if key not in self._views:
            document = self._endpoints.find(name)
            if document is None or document["new"]:
                return None
            self._views[key] = EndpointView(
                name=document["name"],
                traffic=document["properties"]["traffic"],
                mirror=document["properties"]["mirrorTraffic"],
                accepts=self._doorkeeper(document),
            )
        return self._views[key]

    def _doorkeeper(self, document: Json) -> Callable[[str | None], bool]:
        keys = [key.encode() for key in document["keys"].values()]
        mode = document["properties"]["authMode"]
        audience = self._endpoints.arm_id(document["name"])

        def accepts(authorization: str | None) -> bool:
            token = bearer(authorization)
            if token is None:
                return False
            if mode == "Key":
                return any(secrets.compare_digest(token.encode(), key) for key in keys)
            if mode == "AMLToken":
                claims = self._tokens.claims(token)
                return claims is not None and claims["aud"] == audience
            return True  # AADToken: any identity will do, as on the control plane

        return accepts


async def _no_work(_operation: Operation) -> None:
    """Do nothing: a new key is made at once."""
