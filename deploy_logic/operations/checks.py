"""What the app itself can say about whether all is set up; each finding with what mends it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from deploy_logic.codec import Json, decode, encode
from deploy_logic.errors import Complaint, RolloutError
from deploy_logic.ledger.record import Answer, Ledger
from deploy_logic.matching import PolicyIndex
from deploy_logic.ports import Archive, Engine, Workspace
from deploy_logic.settings import Settings

_NOBODY = "rollout-check"  # an endpoint that nobody has: to be told so is to be answered
_OURS = frozenset({"", "sweep", "start"})  # event ids that are no event's


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding."""

    name: str
    ok: bool
    text: str
    mend: str = ""  # a command; empty: nothing is to be mended, or no command does it


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What is looked at."""

    settings: Settings
    policies: PolicyIndex
    complaints: Sequence[Complaint]
    engine: Engine
    archive: Archive
    open_workspace: Callable[[str], Workspace]
    now: datetime


def run_checks(this: Checked) -> Json:
    """Look at everything, whatever breaks."""
    looks: tuple[tuple[str, Callable[[Checked], Check]], ...] = (
        ("engine", _look_at_engine),
        ("policies", _look_at_policies),
        ("archive", _look_at_archive),
        ("event", _look_at_events),
        ("sweep", _look_at_sweep),
    )
    checks = [_try(name, look, this) for name, look in looks]
    for number, workspace in enumerate(this.settings.workspaces, 1):
        checks.append(_look_at_workspace(this, f"workspace {number}", workspace))
    checks.append(Check(name="clock", ok=True, text=_print(this.now)))
    return {"checks": [encode(check) for check in checks], "now": _print(this.now)}


def _try(name: str, look: Callable[[Checked], Check], this: Checked) -> Check:
    try:
        return look(this)
    except Exception as error:  # noqa: BLE001 - a check says what broke, whatever that was
        why = str(error) if isinstance(error, RolloutError) else type(error).__name__
        return Check(name=name, ok=False, text=f"it does not answer: {why}")


def _look_at_engine(this: Checked) -> Check:
    running = len(this.engine.list_running())
    return Check(name="engine", ok=True, text=f"it answers; rollouts in flight: {running}")


def _look_at_policies(this: Checked) -> Check:
    wrong = [one for one in this.complaints if one.kind == "error"]
    text = f"{len(this.policies)} in use, {len(wrong)} complaints"
    is_ok = not wrong and len(this.policies) > 0
    mend = "" if is_ok else "python -m rolloutctl check --policies policies"
    return Check(name="policies", ok=is_ok, text=text, mend=mend)


def _look_at_archive(this: Checked) -> Check:
    this.archive.read_rollout(_NOBODY)
    return Check(name="archive", ok=True, text="it answers")


def _look_at_events(this: Checked) -> Check:
    heard = max(_list_heard(this.engine), key=lambda one: one.at, default=None)
    if heard is None:
        text = "none that a policy matches was heard yet"
    else:
        what = f"version {heard.version!r} of model {heard.model!r}"
        text = f"the last that a policy matches: {_print(heard.at)}, {what}"
    return Check(name="event", ok=True, text=text)


def _list_heard(engine: Engine) -> Iterator[Answer]:
    """Give what ledgers said to events; what no policy matches is in the log alone."""
    for shown in engine.list_ledgers():
        for one in decode(Ledger, shown).answers:
            if one.event_id not in _OURS:
                yield one


def _look_at_sweep(this: Checked) -> Check:
    swept = this.engine.show_controls().swept
    if swept is None:
        text = "it never ran (ROLLOUT_SWEEP_SCHEDULE says when it does)"
        return Check(name="sweep", ok=False, text=text)
    return Check(name="sweep", ok=True, text=f"it ran last at {_print(swept)}")


def _look_at_workspace(this: Checked, name: str, workspace: str) -> Check:
    def look(this: Checked) -> Check:
        this.open_workspace(workspace).get_endpoint(_NOBODY)
        return Check(name=name, ok=True, text=f"the app may read {workspace}")

    found = _try(name, look, this)
    if found.ok:
        return found
    mend = f"az role assignment list --include-inherited --scope {workspace}"
    text = f"the app may not read {workspace}, or Azure does not answer: {found.text}"
    return Check(name=name, ok=False, text=text, mend=mend)


def _print(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
