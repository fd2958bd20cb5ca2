"""One request as the routes see it, who sends it, and what is answered. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from deploy_logic.codec import Json
from deploy_logic.errors import Complaint
from deploy_logic.matching import PolicyIndex
from deploy_logic.operations.endpoints import Desk
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.ports import Archive, Engine, Workspace
from deploy_logic.right import Right
from deploy_logic.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who sends a request."""

    id: str  # the Entra object id
    name: str  # for people to read
    claims: tuple[str, ...]
    rights: frozenset[Right]
    require: Callable[[Right], None]  # OperationError 403 unless the person has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request. Header names are in lower case; given is the query as it was read."""

    parts: Mapping[str, str] = field(default_factory=dict)  # of the path
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    given: Mapping[str, str] = field(default_factory=dict)
    visitor: Visitor | None = None  # None: the route asks nobody who they are

    @property
    def who(self) -> Visitor:
        """The person, on a route that demands one."""
        if self.visitor is None:
            raise AssertionError("a route that is open to nobody in particular asks who it is")
        return self.visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back."""

    status: int
    kind: str  # content type
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Everything that routes answer from."""

    settings: Settings
    policies: PolicyIndex
    files: Sequence[PolicyFiles]
    complaints: Sequence[Complaint]
    engine: Engine
    archive: Archive
    open_workspace: Callable[[str], Workspace]
    dashboard: Path  # folder of the page
    identify: Callable[[Mapping[str, str]], Visitor]  # by headers; OperationError 401
    describe_sign_in: Callable[[], Json]
    now: Callable[[], datetime]

    def desk(self, visit: Visit) -> Desk:
        """Return what an operation needs, and who asks for it."""
        return Desk(
            settings=self.settings,
            policies=self.policies,
            engine=self.engine,
            archive=self.archive,
            by=visit.visitor.id if visit.visitor is not None else "",
        )
