"""What a route is: where it is, who may use it, what it takes, and what it answers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from deploy_logic.api.said import Parameter
from deploy_logic.api.visit import Office, Visit
from deploy_logic.right import Right

PREFIX = "/api/"  # routePrefix of host.json
JSON = "application/json"
PARTS: Mapping[str, str] = {
    "rollout_id": "the id of a rollout",
    "operation": "what is asked of a rollout in flight",
    "endpoint": "the name of an endpoint",
    "act": "what is asked of an endpoint",
    "policy": "the name of a policy",
    "control": "suspend or resume",
    "file": "a file of the dashboard",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route; everything that says something about routes is made from these."""

    name: str  # of the function in the app
    method: Literal["GET", "POST"]
    path: str  # below the prefix
    summary: str
    handle: Callable[[Office, Visit], object]  # JSON, or an Answer of another kind
    right: Right | None = None  # None: whoever is signed in, or anybody where it is open
    is_open: bool = False  # asks nobody who they are, and does not look at the query
    query: tuple[Parameter, ...] = ()
    body: str = ""  # name of its schema; empty: it takes none
    answer: str = ""  # likewise; empty: no schema says it
    kind: str = JSON  # content type of the answer; a text/* may have any
    refusals: frozenset[int] = frozenset()  # that the handler makes

    @property
    def place(self) -> str:
        """Method and path as people write them."""
        return f"{self.method} {PREFIX}{self.path}"

    @property
    def parts(self) -> list[str]:
        """Return the names in the path."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def statuses(self) -> list[int]:
        """Return every status that it answers with, beside 500 when the app is broken."""
        found = {200, *self.refusals}
        if not self.is_open:
            found |= {400, 401, 503}  # a query, nobody known, the archive or the keys of tokens
        if self.right is not None:
            found |= {403}
        if self.method == "POST":
            found |= {400, 415}
        return sorted(found)
