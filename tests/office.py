"""The HTTP API on the fakes: requests go in at the door, as the host would hand them over."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_logic.api.door import serve
from deploy_logic.api.route import Route
from deploy_logic.api.table import ROUTES
from deploy_logic.api.visit import Answer, Office, Visit, Visitor
from deploy_logic.errors import Complaint, OperationError
from deploy_logic.matching import PolicyIndex
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.right import EVERY_RIGHT, Right
from tests.builders import policy_files
from tests.desk import Counter

ANN = "11111111-2222-3333-4444-555555555555"


@dataclass(slots=True)
class Lab:
    """An office with everything in memory; rights are those of whoever asks."""

    counter: Counter = field(default_factory=Counter)
    rights: frozenset[Right] | None = EVERY_RIGHT  # None: nobody is signed in
    claims: tuple[str, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    dashboard: Path = Path("dashboard")
    sign_in: dict[str, str] = field(default_factory=lambda: {"kind": "platform"})

    @property
    def files(self) -> tuple[PolicyFiles, ...]:
        return tuple(policy_files(policy) for policy in self.counter.policies)

    def identify(self, headers: Mapping[str, str]) -> Visitor:
        del headers
        if self.rights is None:
            raise OperationError("nobody is signed in (a principal is needed)", status=401)
        rights = self.rights

        def require(right: Right) -> None:
            if right not in rights:
                raise OperationError(f"ann has no right to {right}", status=403)

        return Visitor(id=ANN, name="Ann", claims=self.claims, rights=rights, require=require)

    def office(self) -> Office:
        here = self.counter
        return Office(
            settings=here.settings,
            policies=PolicyIndex(here.policies),
            files=self.files,
            complaints=self.complaints,
            engine=here.engine,
            archive=here.archive,
            open_workspace=lambda _id: here.workspace,
            dashboard=self.dashboard,
            identify=self.identify,
            describe_sign_in=lambda: self.sign_in,
            now=lambda: here.clock.now,
        )

    def send(
        self,
        place: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Answer:
        """Send METHOD and path below /api/; a body goes as JSON unless it is bytes."""
        method, _, path = place.partition(" ")
        route, parts = find_route(method, path)
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"} if body is not None else {}
        visit = Visit(
            parts=parts,
            query=query,
            headers=sent if headers is None else headers,
            body=b"" if body is None else text,
        )
        return serve(route, self.office(), visit)

    def ask(self, place: str, body: object = None, **query: str) -> Any:
        """Do the same, and return the JSON of an answer that is no refusal."""
        answer = self.send(place, body, headers=None, **query)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def refusal(self, place: str, body: object = None, **query: str) -> tuple[int, str]:
        """Return status and title of a refusal."""
        answer = self.send(place, body, headers=None, **query)
        assert answer.kind == "application/problem+json"
        problem = json.loads(answer.body)
        assert problem["status"] == answer.status
        return answer.status, problem["title"]


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Return the route as the host finds it: a literal segment goes before a parameter."""
    found = [
        (one, parts)
        for one in ROUTES
        if one.method == method and (parts := _match(one.path, path)) is not None
    ]
    return min(found, key=lambda pair: len(pair[1]))


def _match(pattern: str, path: str) -> dict[str, str] | None:
    wanted, given = pattern.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    pairs = list(zip(wanted, given, strict=True))
    if any(one != other for one, other in pairs if one[:1] != "{"):
        return None
    return {one.strip("{}"): other for one, other in pairs if one[:1] == "{"}
