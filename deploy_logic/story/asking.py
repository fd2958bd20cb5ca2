"""Step 4 of 5: how a rollout asks people: approvals, what to do when it cannot say, pauses.

No answer by the deadline is a no; the deadline of the whole rollout stands over every other.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from deploy_logic.duration import print_duration
from deploy_logic.plan.plan import Plan
from deploy_logic.plan.step import Approve
from deploy_logic.ports import Waitable
from deploy_logic.rollout import Awaited, Operation, Phase, Request, refuse_answer
from deploy_logic.story.diary import Diary
from deploy_logic.story.waiting import Stop

type Story[T] = Generator[Waitable, Any, T]

_LONG = timedelta(hours=1)  # after which a rollout that waits for nobody in particular looks again
YES_OR_NO = (Operation.APPROVE, Operation.REJECT)


class Question:
    """Something that people were asked; counts the answers that they may give."""

    def __init__(self, diary: Diary, awaited: Awaited) -> None:
        """Ask. What was answered before the question does not count."""
        self._diary = diary
        self._phase = diary.rollout.phase
        self.awaited = diary.wait_for(awaited)
        diary.waiting.answers.clear()

    def read(self) -> Request | None:
        """Return the answer that decides, once there is one."""
        answers = self._diary.waiting.answers
        while answers:
            request = answers.pop(0)
            refusal = refuse_answer(self.awaited, request, registered_by=self.awaited.not_by)
            if refusal:
                self._diary.note(f"{request.operation} by {request.by} does not count: {refusal}")
                continue
            if request.operation is Operation.APPROVE:
                approved = (*self.awaited.approved_by, request.by)
                self.awaited = replace(self.awaited, approved_by=approved)
                self._diary.wait_on(self.awaited)
                if len(approved) < self.awaited.quorum:
                    self._diary.note(f"{len(approved)} of {self.awaited.quorum} have approved")
                    continue
            return request
        return None

    def close(self, text: str) -> None:
        """Go back to the phase in which the question came up."""
        self._diary.wait_on(None)
        self._diary.enter(self._phase, text)

    def wait(self) -> Story[Request | None]:
        """Return the answer that decides; None when time is up, or all that remains is left out."""
        waiting, until = self._diary.waiting, self.awaited.until
        while True:
            decided = self.read()
            if decided is not None or waiting.hurried is not None:
                return decided
            if until is not None and waiting.now >= until:
                return None
            length = until - waiting.now if until is not None else _LONG
            yield from waiting.rest(
                length, until=lambda: bool(waiting.answers) or waiting.hurried is not None
            )


def approve(diary: Diary, plan: Plan, step: Approve) -> Story[None]:
    """Ask for an approval; Stop unless enough of those who are asked say yes in time."""
    waiting = diary.waiting
    if waiting.hurried is not None:
        diary.note(f"the approval {_when(step)} is left out: {_hurry(waiting.hurried)}")
        return
    wanted = f"{step.quorum} of " if len(step.approvers) > 1 or step.quorum > 1 else ""
    awaited = Awaited(
        what=f"approval {_when(step)}",
        text=f"approval {_when(step)} by {wanted}{', '.join(step.approvers)}",
        until=waiting.now + step.deadline,
        operations=YES_OR_NO,
        approvers=step.approvers,
        not_by=plan.registered_by if step.not_by_requester else "",
        quorum=step.quorum,
    )
    question = Question(diary, awaited)
    decided = yield from question.wait()
    if decided is None and waiting.hurried is not None:
        question.close(f"the approval {_when(step)} is left out: {_hurry(waiting.hurried)}")
        return
    if decided is None:
        late = f"no approval {_when(step)} within {print_duration(step.deadline)}"
        raise Stop(Phase.FAILED, late)
    if decided.operation is Operation.REJECT:
        raise Stop(Phase.FAILED, f"rejected by {decided.by}: {decided.reason}")
    question.close(f"approved by {', '.join(question.awaited.approved_by)}: {decided.reason}")


def ask(
    diary: Diary, *, what: str, text: str, operations: Sequence[Operation] = YES_OR_NO
) -> Story[Request | None]:
    """Ask whoever operates rollouts; the deadline of the whole rollout is theirs too.

    None: all that remains is left out (promote_now), which is an answer as well.
    """
    question = Question(diary, Awaited(what=what, text=text, operations=tuple(operations)))
    decided = yield from question.wait()
    if decided is not None and decided.operation is Operation.REJECT:
        raise Stop(Phase.FAILED, f"rejected by {decided.by}: {decided.reason} ({text})")
    hurried = diary.waiting.hurried
    by = f"{decided.operation} by {decided.by}: {decided.reason}" if decided else ""
    question.close(by or (_hurry(hurried) if hurried else ""))
    return decided


def stay_while_paused(diary: Diary) -> Story[None]:
    """Stay where it is until somebody resumes; the deadline of the whole goes on."""
    waiting, phase = diary.waiting, diary.rollout.phase
    if waiting.paused is None:
        return
    diary.enter(Phase.WAITING, f"paused by {waiting.paused.by}: {waiting.paused.reason}")
    while waiting.paused is not None:
        yield from waiting.rest(_LONG, until=lambda: waiting.paused is None)
    diary.enter(phase, "resumed")


def _when(step: Approve) -> str:
    return "before anything is created" if step.when == "before" else "to promote"


def _hurry(request: Request) -> str:
    return f"promoted now by {request.by}: {request.reason}"
