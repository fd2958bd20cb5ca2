"""Step 4 of 5: how a rollout waits. Every wait ends early for an operation or the deadline.

An activity that changes something is never abandoned half way: its effect could land after the
roll back. So effects are waited for, in seconds, and only sleep is cut short.
"""

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any, assert_never

from pydantic import ValidationError

from deploy_logic.codec import Json, decode
from deploy_logic.duration import print_duration
from deploy_logic.ports import Context, Waitable
from deploy_logic.rollout import Operation, Phase, Request, allows

type Story[T] = Generator[Waitable, Any, T]

_GROWTH = 1.5  # each look at a running Azure operation waits that much longer than the last
_SLOWEST = 4  # times the first wait
_FIRST_ASK, _LAST_ASK = timedelta(seconds=1), timedelta(minutes=1)
_LONGEST_RETRY_AFTER = timedelta(minutes=5)  # whatever Azure asks for


class Stop(Exception):  # noqa: N818 - not an error: the one road that leads to roll back
    """The rollout does not go on; says how it will end and why."""

    def __init__(self, phase: Phase, reason: str, *, is_judged: bool = False) -> None:
        """Take the phase that the rollout ends in once it is rolled back.

        is_judged: a gate said so while the candidate had traffic, and a policy may ask a person.
        """
        super().__init__(reason)
        self.phase = phase
        self.reason = reason
        self.is_judged = is_judged


def _stop(request: Request) -> Stop:
    if request.operation is Operation.ABORT:
        return Stop(Phase.FAILED, f"aborted by {request.by}: {request.reason}")
    return Stop(Phase.SUPERSEDED, f"superseded by {request.by}: {request.reason}")


class Waiting:
    """The one place where a rollout waits, and where operations arrive."""

    def __init__(
        self,
        context: Context,
        *,
        note: Callable[..., None],
        phase: Callable[[], Phase],
        post: Callable[[], None],
    ) -> None:
        """Start to listen for operations; post is called before every wait."""
        self._context = context
        self._note = note
        self._phase = phase
        self._post = post
        self._inbox = context.operation()
        self._deadline: Waitable | None = None
        self._deadline_text = ""
        self._is_listening = True
        self._interval = timedelta(seconds=15)
        self.paused: Request | None = None
        self.hurried: Request | None = None  # promote now
        self.frozen: Request | None = None  # the sweep found weights that are not ours
        self.answers: list[Request] = []  # of people who may have been asked
        self.has_turn = False

    @property
    def now(self) -> datetime:
        """The time of this turn."""
        return self._context.now

    def limit(self, length: timedelta) -> None:
        """Set the deadline of the whole rollout, from now; it takes the place of an earlier one."""
        self.close()
        self._deadline = self._context.timer(self._context.now + length)
        self._deadline_text = f"the deadline of {print_duration(length)} has passed"

    def pace(self, interval: timedelta) -> None:
        """Set the first wait between two looks at a running Azure operation."""
        self._interval = interval

    def deafen(self) -> None:
        """Stop listening: from here on neither an operation nor the deadline changes the course."""
        self._is_listening = False

    def close(self) -> None:
        """Let go of the deadline's timer."""
        if self._deadline is not None and not self._deadline.is_complete:
            self._context.cancel(self._deadline)

    def heed(self) -> None:
        """Take in what was asked; raise Stop if an operation or the deadline says so."""
        while self._is_listening and self._inbox.is_complete:
            asked = self._inbox.get_result()
            self._inbox = self._context.operation()
            self._obey(asked)
        if self._is_listening and self._deadline is not None and self._deadline.is_complete:
            raise Stop(Phase.FAILED, self._deadline_text)

    def rest(self, length: timedelta, *, until: Callable[[], bool] | None = None) -> Story[None]:
        """Sleep; an operation or the deadline wakes, and so does what until says."""
        self.heed()
        if until is not None and until():
            return
        timer = self._context.timer(self._context.now + length)
        while not timer.is_complete:
            wakers = [timer]
            if self._is_listening:
                wakers += [self._inbox, *([self._deadline] if self._deadline else [])]
            self._post()
            yield self._context.any(wakers)
            try:
                self.heed()
            except Stop:
                # Not in a finally: the engine throws the generator away after every turn, and a
                # timer let go of then would never fire.
                self._context.cancel(timer)
                raise
            if until is not None and until() and not timer.is_complete:
                self._context.cancel(timer)
                return

    def ask(self, activity: str, payload: Json, *, within: timedelta) -> Story[Json]:
        """Return what an activity found out; Stop when it could not in all that time.

        What was found out is returned even when an operation came meanwhile: heed it after.
        """
        give_up = self._context.now + within
        interval = _FIRST_ASK
        answer = yield from self._effect(activity, payload)
        while answer["state"] == "busy":
            yield from self._rest_until(give_up, interval, answer, within)
            interval = min(interval * 2, _LAST_ASK)
            answer = yield from self._effect(activity, payload)
        if answer["state"] != "done":
            raise Stop(Phase.ERRORED, answer["reason"])
        return answer

    def try_once(self, activity: str, payload: Json) -> Story[Json]:
        """Return what an activity answers, whatever it is; asking again is the caller's choice."""
        return (yield from self._effect(activity, payload))

    def converge(
        self,
        activity: str,
        payload: Json,
        *,
        within: timedelta,
        watch: tuple[str, Json] | None = None,
    ) -> Story[Json]:
        """Call a repeatable activity until Azure is as it says it should be.

        The activity answers done, failed, working (under way), busy (ask again) or broke; what it
        carries it is given again. While it is under way, watch is called in its place, if given: it
        takes a smaller payload.
        """
        give_up = self._context.now + within
        interval = self._interval
        answer = yield from self._effect(activity, payload)
        while answer["state"] in {"working", "busy"}:
            self.heed()
            yield from self._rest_until(give_up, interval, answer, within)
            interval = min(interval * _GROWTH, self._interval * _SLOWEST)
            is_under_way = answer["state"] == "working"
            payload = {**payload, **answer.get("carry", {})}
            call = watch if watch is not None and is_under_way else (activity, payload)
            answer = yield from self._effect(*call)
        self.heed()
        if answer["state"] == "broke":
            raise Stop(Phase.ERRORED, answer["reason"])
        return answer

    def _rest_until(
        self, give_up: datetime, length: timedelta, answer: Json, within: timedelta
    ) -> Story[None]:
        if self._context.now >= give_up:
            late = f"not done after {print_duration(within)}: {answer['reason']}"
            raise Stop(Phase.ERRORED, late)
        asked = min(timedelta(seconds=answer.get("retry_after", 0)), _LONGEST_RETRY_AFTER)
        yield from self.rest(max(length, asked))

    def _effect(self, activity: str, payload: Json) -> Story[Json]:
        self._post()
        try:
            answer: Json = yield self._context.call(activity, payload)
        except Exception as error:  # noqa: BLE001 - the engine erases types: it was asked in vain
            return {"state": "busy", "reason": f"{activity}: {error}"}
        return answer

    def _obey(self, asked: object) -> None:  # noqa: C901 - one branch per operation, each of a line
        try:
            request = decode(Request, asked)
        except ValidationError:
            self._note("an operation that cannot be read was left aside")
            return
        if request.operation is not Operation.TURN:
            self._note(f"{request.operation} by {request.by}: {request.reason}")
        if not allows(request.operation, self._phase()):
            self._note(f"{request.operation} is not possible while {self._phase()}: left aside")
            return
        match request.operation:
            case Operation.ABORT | Operation.SUPERSEDE:
                raise _stop(request)
            case Operation.PAUSE:
                self.paused = request
            case Operation.RESUME:
                self.paused = None
            case Operation.PROMOTE_NOW:
                self.hurried = request
            case Operation.FREEZE:
                self.frozen = request
            case Operation.APPROVE | Operation.REJECT | Operation.ADOPT | Operation.RESTORE:
                self.answers.append(request)
            case Operation.TURN:
                self.has_turn = True
            case _:
                assert_never(request.operation)
