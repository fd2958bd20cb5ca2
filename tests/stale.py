"""A workspace whose reads lag: each shows endpoints as they were up to so many seconds ago."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from deploy_logic.plan.plan import Deployment
from deploy_logic.ports import DeploymentState, EndpointState
from tests.fakes import Clock, FakeEndpoint, FakeWorkspace

type Endpoints = dict[str, FakeEndpoint]


class StaleWorkspace(FakeWorkspace):
    """Azure Resource Manager is eventually consistent; its writes are not told what it forgot."""

    def __init__(self, clock: Clock, *, lag: Callable[[], timedelta]) -> None:
        super().__init__(clock)
        self._lag = lag
        self._past: list[tuple[datetime, Endpoints]] = []

    def remember(self) -> None:
        """Keep what the endpoints are like from now on."""
        self._past.append((self.clock.now, _copy(self.endpoints)))

    def get_endpoint(self, endpoint: str) -> EndpointState | None:
        self._enter("get_endpoint")
        return self._seen().get_endpoint(endpoint)

    def list_deployments(self, endpoint: str) -> tuple[Deployment, ...]:
        self._enter("list_deployments")
        return self._seen().list_deployments(endpoint)

    def get_deployment(self, endpoint: str, deployment: str) -> DeploymentState | None:
        self._enter("get_deployment")
        return self._seen().get_deployment(endpoint, deployment)

    def _leave(self, method: str) -> None:
        self.remember()
        super()._leave(method)

    def _seen(self) -> FakeWorkspace:
        """Return the workspace at a moment that is over; before its first change: as it is now."""
        then = Clock()
        then.now = self.clock.now - self._lag()
        past = [endpoints for at, endpoints in self._past if at <= then.now]
        seen = FakeWorkspace(then)
        seen.endpoints = _copy(past[-1] if past else self._past[0][1])
        return seen


def _copy(endpoints: Endpoints) -> Endpoints:
    return {
        name: replace(
            one,
            weights=dict(one.weights),
            deployments=dict(one.deployments),  # which are not changed, once made
            mirror=dict(one.mirror),
        )
        for name, one in endpoints.items()
    }
