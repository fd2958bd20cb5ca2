"""Step 2 of 5: what people write, as models. Unknown keys are refused. Pure.

Here the policy as a whole; beside it its parts: policy_strategy, policy_gate, policy_people.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from deploy_logic.duration import print_duration
from deploy_logic.errors import PatternError, VersionRuleError
from deploy_logic.pattern import PatternKind, parse_name_pattern
from deploy_logic.policy.gate import AnyGate
from deploy_logic.policy.gate_metric import MetricGate
from deploy_logic.policy.part import Duration, Part, Wrong, complain, expect
from deploy_logic.policy.people import Approvals, Channels, Keep, Windows
from deploy_logic.policy.strategy import (
    Strategy,
    refuse_short_bakes,
)
from deploy_logic.policy.strategy import (
    total_bake as total_bake_of,
)
from deploy_logic.policy.tag_rule import TagRuleError, parse_tag_rule
from deploy_logic.version.rule import VersionRule, print_version_rule, read_version_rule
from deploy_logic.version.scheme import Pick, Scheme

_NAME = r"^[a-zA-Z][-a-zA-Z0-9]{1,62}[a-zA-Z0-9]$"
# As Azure names endpoints; or with {model} in it, when every model of a pattern has its own.
_ENDPOINT = (
    r"^([a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]"
    r"|([a-zA-Z][-a-zA-Z0-9]{0,28})?\{model\}([-a-zA-Z0-9]{0,28}[a-zA-Z0-9])?)$"
)
_NAMES = "letters, digits and dashes, a letter first and no dash last"
_NOT_IN_A_NAME = frozenset("*?[]/\\#%")  # wildcards, and what no resource id can hold


def _read_rule(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | Mapping | VersionRule):
        raise expect("a version rule such as latest or '>= 3'")
    try:
        return read_version_rule(value)
    except VersionRuleError as error:
        path = (error.key,) if error.key else ()
        wrong = Wrong(path=path, expected=error.expected, offset=error.position)
        raise complain(wrong) from error


Rule = Annotated[
    VersionRule,
    PlainValidator(_read_rule),
    PlainSerializer(print_version_rule, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "integer", "minimum": 0},
                {
                    "type": "object",
                    "properties": {
                        "scheme": {"enum": list(Scheme)},
                        "from": {"type": "string", "pattern": "^(version|(tag|property):.+)$"},
                        "allow": {"type": ["string", "integer"]},
                        "pick": {"enum": list(Pick)},
                        "except": {
                            "type": "array",
                            "items": {"type": ["string", "integer"]},
                        },
                        "allow_older": {"type": "boolean"},
                    },
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


def _check_model(text: str) -> str:
    try:
        pattern = parse_name_pattern(text)
    except PatternError as error:
        raise expect(error.expected, offset=error.position) from error
    if pattern.kind is not PatternKind.EXACT:
        return text
    for position, character in enumerate(text):
        if character in _NOT_IN_A_NAME or not character.isprintable():
            expected = f"a model's name as it is registered, or a pattern: 'glob:{text}'"
            raise expect(expected, offset=position)
    if text != text.strip():
        raise expect("a model's name without spaces around it")
    return text


def _check_tag(text: str) -> str:
    try:
        parse_tag_rule(text)
    except TagRuleError as error:
        raise expect(error.expected, offset=error.position) from error
    return text


class Selector(Part):
    """Which model versions."""

    model: Annotated[str, AfterValidator(_check_model)] = Field(
        min_length=1,
        max_length=255,
        description="the name of a model, or a pattern such as glob:fraud-* or regex:^fraud-.+$",
    )
    version: Rule = Field(
        default=VersionRule(text="latest"),
        description="a version rule such as latest, 7 or '>= 3, < 10'",
    )
    tags: Mapping[
        Annotated[str, Field(min_length=1, max_length=256)],
        Annotated[str, Field(max_length=256), AfterValidator(_check_tag)],
    ] = Field(
        default_factory=dict,
        description="a text in quotes that the tag must be, or a comparison such as '>= 0.91'",
    )


class Deploy(Part):
    """Where to, and from which `az ml` YAML."""

    endpoint: str = Field(
        pattern=_ENDPOINT,
        description=f"3 to 32 {_NAMES}; {{model}} in it stands for the model's name",
    )
    endpoint_template: str = Field(
        default="",
        max_length=1024,
        description="an az ml online-endpoint YAML, such as templates/fraud-endpoint.yml",
    )
    template: str = Field(
        min_length=1,
        max_length=1024,
        description="an az ml online-deployment YAML, such as templates/fraud-deployment.yml",
    )


class Policy(Part):
    """One document of a policy file."""

    policy: str = Field(pattern=_NAME, description=f"the policy's name: 3 to 64 {_NAMES}")
    select: Selector = Field(description="which model versions: {model: fraud-detector}")
    deploy: Deploy = Field(
        description="where to: {endpoint: fraud, template: templates/fraud-deployment.yml}"
    )
    strategy: Strategy = Field(
        description="how traffic gets there: {kind: canary, steps: [{weight: 10, bake: 10m}]}"
    )
    gates: tuple[Annotated[AnyGate, Field(discriminator="kind")], ...] = Field(
        default=(), max_length=100, description="a list such as [{kind: probe, request: r.json}]"
    )
    approval: Approvals | None = Field(
        default=None, description="who is asked: {promote: {approvers: [group:ml-leads]}}"
    )
    on_failure: Literal["roll_back", "freeze"] = Field(
        default="roll_back", description="roll_back or freeze"
    )
    on_new_version: Literal["supersede", "queue", "finish_first"] = Field(
        default="supersede", description="supersede, queue or finish_first"
    )
    deadline: Duration = Field(
        default=timedelta(hours=8), description="of the whole rollout, such as 8h"
    )
    keep: Keep | None = Field(
        default=None, description="old deployments that stay warm: {old: 1, for: 24h}"
    )
    keep_failed: Duration = Field(
        default=timedelta(0), description="how long a failed candidate stays to be looked at: 2h"
    )
    windows: Windows | None = Field(
        default=None, description="when it may start: {allow: Mon-Fri 08:00-17:00 Europe/Berlin}"
    )
    announce: Channels = Field(
        default=(),
        description="channels in the settings: [topic, {channel: teams, on: [waiting, failed]}]",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Policy":
        wrongs = [*_refuse_deadline(self), *_refuse_names(self)]
        if wrongs:
            raise complain(*wrongs)
        return self


def total_bake(policy: Policy) -> timedelta:
    """Return the time that the policy's bakes take in all, the mirror's among them."""
    return total_bake_of(policy.strategy)


def _refuse_deadline(policy: Policy) -> list[Wrong]:
    """Return why no rollout could succeed: the deadline is over before all is done.

    Not counted is the approval before anything is created: the rollout's time starts after it.
    """
    bakes = total_bake(policy)
    promote = policy.approval.promote if policy.approval else None
    waits = promote.deadline if promote else timedelta(0)
    if policy.deadline > bakes + waits:
        return []
    parts = f"the bakes take {print_duration(bakes)}"
    if waits:
        parts += f", the approval to promote {print_duration(waits)}"
    expected = f"longer than {print_duration(bakes + waits)}: {parts}"
    is_written = "deadline" in policy.model_fields_set
    given = "" if is_written else f"{print_duration(policy.deadline)}, where nothing is written"
    return [Wrong(path=("deadline",), given=given, expected=expected)]


def refuse_bakes(policy: Policy, metric_lag: timedelta) -> list[Wrong]:
    """Return the bakes that are over before Azure Monitor says anything of them.

    Not part of the policy's own checks: how far Azure Monitor lags is a setting of the app.
    """
    if not any(isinstance(gate, MetricGate) for gate in policy.gates):
        return []
    why = "a metric gate watches it, and Azure Monitor lags by that much"
    wrongs = refuse_short_bakes(policy.strategy, metric_lag, why)
    return [
        Wrong(path=("strategy", *one.path), given=one.given, expected=one.expected)
        for one in wrongs
    ]


def _refuse_names(policy: Policy) -> list[Wrong]:
    """Names of gates tell them apart in a timeline."""
    names = [gate.name for gate in policy.gates]
    return [
        Wrong(path=("gates", number, "name"), expected="a name that no other gate has")
        for number, name in enumerate(names)
        if name and name in names[:number]
    ]


def refuse_channels(policy: Policy, channels: Collection[str]) -> list[Wrong]:
    """Return the channels that the settings do not define. Not part of the policy's own checks."""
    known = ", ".join(sorted(channels)) or "it has none"
    return [
        Wrong(
            path=("announce", number),
            given=repr(one.channel),
            expected=f"a channel of ROLLOUT_CHANNELS: {known}",
        )
        for number, one in enumerate(policy.announce)
        if one.channel not in channels
    ]
