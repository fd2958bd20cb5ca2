"""Step 4 of 5: the record that a rollout keeps of itself, shown after every change."""

from collections.abc import Mapping
from dataclasses import replace

from deploy_logic.gate.gate import Judgement
from deploy_logic.matching import Offer
from deploy_logic.plan.plan import Plan
from deploy_logic.ports import Context
from deploy_logic.rollout import Awaited, Phase, Rollout, digest_figures
from deploy_logic.story.waiting import Waiting
from deploy_logic.view import show_status


class Diary:
    """Keeps the record and shows it after every change."""

    def __init__(self, context: Context, offer: Offer) -> None:
        """Open the record of a rollout that was just started, and listen for operations."""
        self._context = context
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
        self.waiting = Waiting(context, note=self.note, phase=lambda: self.rollout.phase)
        # What people see is made when the engine asks for it: once a turn, and not in a replay.
        context.show(lambda: show_status(self._seen()))

    def enter(self, phase: Phase, text: str) -> None:
        """Write down that another phase begins, and why."""
        self.rollout = self.rollout.enter(phase, at=self._context.now, text=text)

    def note(self, text: str, **figures: object) -> None:
        """Write down what was decided or seen."""
        self.rollout = self.rollout.note(text, at=self._context.now, **figures)

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
        is_told = dict(known) != dict(self.rollout.mirror)
        self.rollout = replace(self.rollout, weights=dict(weights), mirror=dict(known))
        text = f"weights read back: {_words(weights)}"
        text += f", mirror {_words(known)}" if is_told else ""
        self.note(text, weights=dict(weights), mirror=dict(known))

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

    def begin_step(self) -> None:
        """Write down that the next step of the plan begins; its gates are measured anew."""
        self.rollout = replace(self.rollout, step=self.rollout.step + 1, measured={})

    def wait_for(self, awaited: Awaited) -> Awaited:
        """Write down what is awaited, bound to the figures as they are now."""
        bound = replace(awaited, figures=digest_figures(self.rollout))
        self.enter(Phase.WAITING, awaited.text)
        self.rollout = replace(self.rollout, awaits=bound)
        return bound

    def wait_on(self, awaited: Awaited | None) -> None:
        """Write down that the wait has changed, or is over."""
        self.rollout = replace(self.rollout, awaits=awaited)

    def _seen(self) -> Rollout:
        paused = self.waiting.paused
        return replace(self.rollout, paused_by=paused.by if paused else "")


def _words(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items())) or "none"
