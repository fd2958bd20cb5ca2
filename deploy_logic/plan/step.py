"""Step 3 of 5: what a plan consists of: one record per thing to do, to watch or to ask. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

type Moment = Literal["before", "step", "promote", "roll_back", "event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The bound that a measurement is held against.

    In the unit of what is measured: a share from 0 to 1 for rates and utilisation, milliseconds for
    latency, a count for requests and logs. Relative: how much of the stable's own value the
    candidate may be above it, as a share (0.2: at most 20 % above).
    """

    kind: Literal["at_most", "at_least", "worse_than_stable_by_at_most"]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSource:
    """What Azure Monitor counts for the endpoint's deployments."""

    metric: str  # error_rate, model_error_rate, requests, latency_p50 ... p99, cpu, memory, gpu
    threshold: Threshold
    kind: Literal["metric"] = "metric"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsSource:
    """The number that a query of the logs gives."""

    query: str  # the text of the KQL, with placeholders for deployment and window
    threshold: Threshold
    kind: Literal["logs"] = "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    """Somebody else's service, asked over https."""

    url: str
    kind: Literal["http"] = "http"


type Source = MetricSource | LogsSource | HttpSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A gate that is measured again and again while the candidate bakes."""

    name: str
    source: Source
    every: timedelta = timedelta(minutes=1)
    initial_delay: timedelta = timedelta(0)  # from the shift to the first measurement
    min_samples: int = 1  # below it the verdict is inconclusive
    patience: timedelta = timedelta(minutes=30)  # by which a bake is extended when inconclusive
    failures: int = 0  # failing verdicts of one bake that are forgiven, in all
    failures_in_a_row: int | None = None  # and one after the other; None: no such bound
    error_budget: int = 4  # how often in a row it could not be asked, and that is forgiven
    dry_run: bool = False  # judged and shown, but it decides nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """Hold a tag of the new version against the same tag of the stable's version."""

    name: str
    tag: str
    better: Literal["higher", "lower"]
    margin: float = 0
    dry_run: bool = False
    kind: Literal["champion"] = "champion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Call the candidate directly and hold its answers against the expectation."""

    name: str
    bodies: tuple[str, ...]  # of one request each
    expect: Mapping[
        str, object
    ]  # status, within, schema (the JSON Schema itself), equals, contains
    error_budget: int = 2
    dry_run: bool = False
    kind: Literal["probe"] = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Ask stable and candidate the same requests, and count the same answers."""

    name: str
    bodies: tuple[str, ...]
    at_least: float  # share of same answers, 0 to 1
    min_samples: int = 1
    tolerance: float = 0  # relative, for numbers in the answers
    error_budget: int = 2
    dry_run: bool = False
    kind: Literal["agreement"] = "agreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Ask somebody else's service once, at one moment of the rollout."""

    name: str
    url: str
    when: Moment
    error_budget: int = 4
    dry_run: bool = False
    kind: Literal["call"] = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Ask people; no answer by the deadline is a no."""

    when: Literal["before", "promote"]
    approvers: tuple[str, ...]  # user:, group: or role: and an Entra object id or a role's name
    quorum: int
    not_by_requester: bool
    deadline: timedelta
    kind: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Copy this percentage of live requests to the candidate; 0 ends it."""

    percent: int
    kind: Literal["mirror"] = "mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Give the candidate this weight, 1 to 100, and the stable the rest."""

    weight: int
    kind: Literal["shift"] = "shift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """Stay as it is for a time, and measure."""

    length: timedelta
    watches: tuple[Watch, ...] = ()
    kind: Literal["bake"] = "bake"


type Step = Champion | Probe | Agreement | Call | Approve | Mirror | Shift | Bake
