"""Step 2 of 5: an event and the policies give matches and no matches, each with its reason. Pure.

People are answered by every policy; the trigger asks a PolicyIndex, which costs what the matches
cost. Tags are not looked at here: they are read back from the workspace, as they hold when it
counts.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from deploy_logic.event import ModelRegistered
from deploy_logic.pattern import NamePattern, PatternKind, PatternSet, parse_name_pattern
from deploy_logic.policy.policy import Policy
from deploy_logic.policy.tag_rule import parse_tag_rule
from deploy_logic.policy.window import Window

STORY = 1  # that rollouts begin with now; orchestrator.STORIES has all that can be told
MODEL_PLACEHOLDER = "{model}"  # in deploy.endpoint: an endpoint for each model of a pattern
_LONGEST_SLUG = 60  # with hash and attempt well inside the 100 characters an instance id may have
# https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
_ENDPOINT = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A channel that is told, and of which kinds of news; without any, of all."""

    channel: str
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a match asks of an endpoint's ledger: roll this version out by this policy."""

    rollout_id: str
    workspace: str  # ARM id
    endpoint: str
    model: str
    version: str
    policy: str
    version_rule: str  # as it parses again; the ledger compares versions with it
    on_new_version: str  # supersede, queue or finish_first
    event_id: str = ""
    attempt: int = 1  # a person's retry counts it up
    requested_by: str = ""  # empty: the registration event
    kind: Literal["roll_out", "revert", "let_go"] = "roll_out"
    target: str = ""  # the deployment to go back to, or to let go of
    reason: str = ""  # why a person asked for it
    allow: tuple[str, ...] = ()  # windows as the policy writes them; a person's own does not wait
    deny: tuple[str, ...] = ()
    needs_turn: bool = False  # there is a cap on rollouts in parallel
    is_likely: bool = True  # the tags hold, as the event says; if not, nothing makes room for it
    keep_old: int = 1  # old deployments that the policy allows to stay, beside the stable
    announce: tuple[Told, ...] = ()  # channels that the policy names
    story: int = 1  # how it is told from start to end, whatever the app learns meanwhile

    @property
    def is_rollout(self) -> bool:
        """Whether it replaces the stable by a candidate."""
        return self.kind == "roll_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMatch:
    """A policy's no, with its reason."""

    policy: str
    reason: str


class PolicyIndex:
    """Policies by the models they select: exact names in a dictionary, patterns combined.

    Iterating gives the policies in the order they came.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        """Parse every name once; a pattern that does not parse selects nothing."""
        self._policies = tuple(policies)
        self._exact: dict[str, list[int]] = {}
        self._numbers: list[int] = []  # of the policies that the patterns belong to
        patterns: list[NamePattern] = []
        for number, policy in enumerate(self._policies):
            pattern = read_pattern(policy.select.model)
            if pattern.kind is PatternKind.EXACT:
                self._exact.setdefault(pattern.text, []).append(number)
            else:
                self._numbers.append(number)
                patterns.append(pattern)
        self._patterns = PatternSet(patterns)

    def __iter__(self) -> Iterator[Policy]:
        """Give every policy, in the order they came."""
        return iter(self._policies)

    def __len__(self) -> int:
        """Return how many policies there are."""
        return len(self._policies)

    def select(self, model: str) -> tuple[Policy, ...]:
        """Return the policies that select models of that name, in the order they came."""
        by_pattern = [self._numbers[found] for found in self._patterns.find(model)]
        numbers = sorted([*self._exact.get(model, ()), *by_pattern])
        return tuple(self._policies[number] for number in numbers)

    def match(self, event: ModelRegistered) -> tuple[Offer | NoMatch, ...]:
        """Return the answers of the policies that select the event's model, and of no others."""
        return tuple(match_selected(event, policy) for policy in self.select(event.model))


def match_policies(
    event: ModelRegistered, policies: Iterable[Policy]
) -> tuple[Offer | NoMatch, ...]:
    """Return one answer per policy, in the order of the policies."""
    return tuple(_match(event, policy) for policy in policies)


def _match(event: ModelRegistered, policy: Policy) -> Offer | NoMatch:
    refusal = read_pattern(policy.select.model).refuses(event.model)
    if refusal:
        return NoMatch(policy=policy.policy, reason=refusal)
    return match_selected(event, policy)


def match_selected(event: ModelRegistered, policy: Policy) -> Offer | NoMatch:
    """Return the answer of a policy whose name pattern matches already.

    What the version rule reads in tags, properties or times is judged when the rollout starts.
    """
    refusal = policy.select.version.refuses(event.version)
    refusal = refusal or _refuse_endpoint(policy.deploy.endpoint, event.model)
    if refusal:
        return NoMatch(policy=policy.policy, reason=refusal)
    return make_offer(event, policy)


@functools.lru_cache(maxsize=1024)  # every event and every sweep asks for the same few
def read_pattern(text: str) -> NamePattern:
    """Return the pattern of a policy, parsed; what does not parse is no policy."""
    return parse_name_pattern(text)


def name_endpoint(written: str, model: str) -> str:
    """Return the endpoint for a model: as the policy writes it, with the model's name filled in."""
    return written.replace(MODEL_PLACEHOLDER, model)


def _refuse_endpoint(written: str, model: str) -> str:
    """Return why the model cannot have an endpoint of its own, or nothing when it can."""
    endpoint = name_endpoint(written, model)
    if endpoint == written or _ENDPOINT.fullmatch(endpoint):
        return ""
    return (
        f"endpoint {endpoint!r} (from {written!r}) cannot be the name of one: 3 to 32 letters, "
        "digits and dashes, a letter first and no dash last"
    )


def make_offer(event: ModelRegistered, policy: Policy) -> Offer:
    """Return what to ask of the ledger of the policy's endpoint."""
    endpoint = name_endpoint(policy.deploy.endpoint, event.model)
    windows = policy.windows
    return Offer(
        rollout_id=make_rollout_id(event.workspace, endpoint, event.model, event.version),
        workspace=event.workspace,
        endpoint=endpoint,
        model=event.model,
        version=event.version,
        policy=policy.policy,
        version_rule=policy.select.version.text,
        on_new_version=policy.on_new_version,
        event_id=event.event_id,
        allow=_print_windows(windows.allow if windows else None),
        deny=_print_windows(windows.deny if windows else None),
        keep_old=policy.keep.old if policy.keep else 1,
        is_likely=do_tags_hold(event.tags, policy),
        announce=list_told(policy),
        story=STORY,
    )


def list_told(policy: Policy) -> tuple[Told, ...]:
    """Return the channels that the policy wants to be told."""
    return tuple(Told(channel=one.channel, on=one.on) for one in policy.announce)


def do_tags_hold(tags: Mapping[str, str], policy: Policy) -> bool:
    """Whether all that the policy asks of tags is so."""
    wanted = policy.select.tags.items()
    return not any(parse_tag_rule(rule).refuses(tags.get(key)) for key, rule in wanted)


def _print_windows(windows: Iterable[Window] | None) -> tuple[str, ...]:
    return tuple(window.text for window in windows or ())


def make_rollout_id(
    workspace: str, endpoint: str, model: str, version: str, *, attempt: int = 1
) -> str:
    """Return the rollout's name: the same event finds the same one.

    At most 100 printable ASCII characters, as the Durable Task Scheduler asks
    (https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler). Workspace
    and endpoint names compare without case in Azure, model names and versions with it.
    """
    key = f"{workspace.lower()}\n{endpoint.lower()}\n{model}\n{version}"
    readable = f"{endpoint}-{model}-{version}".lower()
    slug = re.sub(r"[^a-z0-9.]+", "-", readable)[:_LONGEST_SLUG].strip("-.")
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{slug}-{digest}" + (f"-{attempt}" if attempt > 1 else "")


def endpoint_key(workspace: str, endpoint: str) -> str:
    """Return the name of an endpoint's ledger: readable, unique and the same in any case.

    Entity ids arrive in lower case, and slashes, ? and # are not allowed in them.
    """
    digest = hashlib.sha256(workspace.lower().encode()).hexdigest()[:12]
    return f"{endpoint.lower()}-{digest}"
