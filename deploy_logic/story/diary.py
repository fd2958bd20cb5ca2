"""Step 4 of 5: the record that a rollout keeps of itself, shown after every change."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from deploy_logic.codec import Json, encode
from deploy_logic.gate.gate import Judgement
from deploy_logic.matching import Offer
from deploy_logic.outbox import Letter
from deploy_logic.plan.plan import Plan
from deploy_logic.ports import Context
from deploy_logic.rollout import Awaited, Baking, Phase, Rollout, digest_figures
from deploy_logic.story.waiting import Waiting
from deploy_logic.view import show_status, summarise

# Nothing is told of a rollout that may turn out to be none.
_UNTOLD = frozenset({Phase.PENDING, Phase.NO_MATCH})
_FROZEN = frozenset({"weights", "failure"})  # what is awaited then


class Diary:
    """Keeps the record and shows it after every change."""

    def __init__(self, context: Context, offer: Offer) -> None:
        """Open the record of a rollout that was just started, and listen for operations."""
        self._context = context
        self._offer = offer
        self.told = offer.announce  # channels
        self._kinds: dict[int, str] = {}  # of lines that channels may want to hear of
        self._posted = 0  # lines
        self._phase_posted: Phase | None = None
        self.rollout = Rollout(
            rollout_id=offer.rollout_id,
            workspace=offer.workspace,
            endpoint=offer.endpoint,
            model=offer.model,
            version=offer.version,
            policy=offer.policy,
            attempt=offer.attempt,
            started=context.now,
        )
        self.has_created = False  # whether the candidate may be there
        self.has_shifted = False  # whether weights or mirror may be other than they were
        self.waiting = Waiting(
            context, note=self.note, phase=lambda: self.rollout.phase, post=self.post
        )
        # What people see is made when the engine asks for it: once a turn, and not in a replay.
        context.show(lambda: show_status(self._seen()))

    def enter(self, phase: Phase, text: str, **figures: object) -> None:
        """Write down that another phase begins, and why."""
        self.rollout = self.rollout.enter(phase, at=self._context.now, text=text, **figures)
        if phase.is_over:
            self.announce(phase.value)

    def note(self, text: str, **figures: object) -> None:
        """Write down what was decided or seen."""
        self.rollout = self.rollout.note(text, at=self._context.now, **figures)

    def announce(self, kind: str) -> None:
        """Let channels hear of the line that was written last."""
        self._kinds[len(self.rollout.timeline) - 1] = kind

    def judge(self, name: str, judged: Judgement, *, is_dry: bool = False) -> None:
        """Write down a verdict with its figures; it is also the gate's last measurement."""
        words = f"{judged.reason} (dry run: it decides nothing)" if is_dry else judged.reason
        verdict = judged.verdict.value
        self.note(words, gate=name, verdict=verdict, dry_run=is_dry, **judged.figures)
        last = {"verdict": verdict, "reason": words, "at": self._context.now.isoformat()}
        self.rollout = replace(self.rollout, measured={**self.rollout.measured, name: last})

    def weigh(self, weights: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> None:
        """Write down the weights that were read back, and the mirror where it was."""
        known = self.rollout.mirror if mirror is None else mirror
        is_other = _nonzero(weights) != _nonzero(self.rollout.weights)
        is_told = dict(known) != dict(self.rollout.mirror)
        self.rollout = replace(self.rollout, weights=dict(weights), mirror=dict(known))
        text = f"weights read back: {_words(weights)}"
        text += f", mirror {_words(known)}" if is_told else ""
        self.note(text, weights=dict(weights), mirror=dict(known))
        if is_other:
            self.announce("shifted")

    def plan(self, plan: Plan, steps: tuple[str, ...]) -> None:
        """Write down what the plan fixed."""
        self.rollout = replace(
            self.rollout,
            policy_hash=plan.policy_hash,
            candidate=plan.candidate,
            stable=plan.stable or "",
            weights=dict(plan.weights),
            steps=steps,
        )
        text = f"the plan is fixed: {len(steps)} steps by policy {self.rollout.policy!r}"
        self.note(text, steps=list(steps), policy_hash=plan.policy_hash)
        self.announce("started")

    def begin_step(self) -> None:
        """Write down that the next step of the plan begins; its gates are measured anew."""
        self.rollout = replace(self.rollout, step=self.rollout.step + 1, measured={})

    def wait_for(self, awaited: Awaited) -> Awaited:
        """Write down what is awaited, bound to the figures as they are now."""
        bound = replace(awaited, figures=digest_figures(self.rollout))
        self.enter(Phase.WAITING, awaited.text, awaited=awaited.what)
        self.announce("frozen" if awaited.what in _FROZEN else "waiting")
        self.rollout = replace(self.rollout, awaits=bound)
        return bound

    def wait_on(self, awaited: Awaited | None) -> None:
        """Write down that the wait has changed, or is over."""
        self.rollout = replace(self.rollout, awaits=awaited)

    def bake(self, since: datetime, until: datetime, weight: int) -> None:
        """Write down that it bakes."""
        self.rollout = replace(self.rollout, bake=Baking(since=since, until=until, weight=weight))

    def end_bake(self) -> None:
        """Write down that it bakes no more."""
        self.rollout = replace(self.rollout, bake=None)

    def post(self) -> None:
        """Hand the lines that are new to the outbox; the archive and the channels hear of them."""
        phase, written = self.rollout.phase, len(self.rollout.timeline)
        if phase in _UNTOLD or written == self._posted:
            return
        first, self._posted = self._posted, written
        is_seen = bool(self._kinds) or phase is not self._phase_posted
        self._context.post(
            Letter(
                rollout_id=self.rollout.rollout_id,
                workspace=self.rollout.workspace,
                endpoint=self.rollout.endpoint,
                at=self._context.now,
                first=first,
                lines=self.rollout.timeline[first:],
                kinds=self._kinds,
                # letting go of a deployment is no rollout, so no list has it
                rollout=self._summarise() if is_seen and self._offer.kind != "let_go" else None,
                announce=self.told,
            )
        )
        self._kinds, self._phase_posted = {}, phase

    def _summarise(self) -> Json:
        return summarise(encode(replace(self._seen(), timeline=())))

    def _seen(self) -> Rollout:
        paused = self.waiting.paused
        return replace(self.rollout, paused_by=paused.by if paused else "")


def _nonzero(weights: Mapping[str, int]) -> dict[str, int]:
    return {name.lower(): weight for name, weight in weights.items() if weight != 0}


def _words(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items())) or "none"
