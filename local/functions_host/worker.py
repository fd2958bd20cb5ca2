"""Drives Microsoft's worker library: loads one function app and runs its functions.

One app per process: the library keeps its registry in module globals and imports the app by name.
"""

import json
import logging
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as library

from local.functions_host import protos
from local.functions_host.protos import ParameterBinding, TypedData

logger = logging.getLogger(__name__)

# Not the system's source, which every uuid4 asks: it lets go of the interpreter each time.
_ids = random.Random()  # noqa: S311 - names invocations in the log, guards nothing


class Trigger(StrEnum):
    """The triggers this host serves."""

    EVENT_GRID = "eventGridTrigger"
    HTTP = "httpTrigger"
    TIMER = "timerTrigger"
    QUEUE = "queueTrigger"  # no queue here: a message comes by POST /admin/functions/NAME
    ORCHESTRATION = "orchestrationTrigger"
    ENTITY = "entityTrigger"
    ACTIVITY = "activityTrigger"


DURABLE = frozenset({Trigger.ORCHESTRATION, Trigger.ENTITY, Trigger.ACTIVITY})

# The field of a durable trigger that names the function when it differs from the Python name.
_NAME_FIELD = {
    Trigger.ORCHESTRATION: "orchestration",
    Trigger.ENTITY: "entityName",
    Trigger.ACTIVITY: "activity",
}


class AppError(Exception):
    """The app could not be loaded; the message is the library's own."""


class InvocationFailedError(Exception):
    """A function raised; `kind` and `message` are its exception's, `stack` the formatted trace."""

    def __init__(self, text: str, stack: str) -> None:
        super().__init__(text)
        # The library says "Type: message"; the real extension splits there as well.
        self.kind, _, message = text.partition(": ")
        self.message = message or self.kind  # the engine takes an empty message for a success
        self.stack = stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function as the library indexed it."""

    name: str
    function_id: str
    kind: Trigger
    trigger: Mapping[str, Any]
    bindings: tuple[Mapping[str, Any], ...]
    clients: tuple[str, ...]  # parameters that take a durable client

    @property
    def called(self) -> str:
        """The name it is called by: durable triggers may give another than the Python name."""
        field = _NAME_FIELD.get(self.kind)
        return (field and self.trigger.get(field)) or self.name

    @property
    def needs_engine(self) -> bool:
        """Whether it runs on, or talks to, the durable engine."""
        return self.kind in DURABLE or bool(self.clients)


@dataclass(slots=True, kw_only=True)
class Spent:
    """What the executions of one function came to, as a plan that bills them would count."""

    executions: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a function gave back: its return value and its named outputs."""

    value: TypedData | None
    outputs: Mapping[str, TypedData]


class Worker:
    """The loaded app. `client_binding` is handed to every parameter that takes a durable client."""

    def __init__(self, app: Path) -> None:
        self._app = app
        self._functions: dict[tuple[Trigger, str], Function] = {}
        self.client_binding = ""
        self.spent: dict[str, Spent] = {}  # by function

    async def load(self) -> None:
        """Import and index the app; raises AppError with the library's message."""
        sys.path.insert(0, str(self._app))
        os.chdir(self._app)
        # Without it synchronous functions silently share asyncio's default pool.
        library.start_threadpool_executor()
        init = SimpleNamespace(capabilities={}, function_app_directory=str(self._app))
        request = SimpleNamespace(
            request=SimpleNamespace(worker_init_request=init),
            properties={"host": "127.0.0.1", "protos": protos},
        )
        answer = await library.worker_init_request(request)
        if answer.result.status == protos.StatusResult.Failure:
            failure = answer.result.exception
            raise AppError(f"{failure.message}\n{failure.stack_trace}")
        metadata = await library.functions_metadata_request(request)
        if metadata.function_metadata_results is None:
            raise AppError(f"{self._app}: no function_app.py found")
        for function in map(_read_function, metadata.function_metadata_results):
            key = (function.kind, function.called.lower())
            if key in self._functions:
                raise AppError(f"two {function.kind} functions are called {function.called!r}")
            self._functions[key] = function

    def __iter__(self) -> Iterator[Function]:
        """Go through the app's functions."""
        return iter(self._functions.values())

    def find(self, kind: Trigger, name: str) -> Function | None:
        """Return the function of that kind; names compare without case, as entity ids demand."""
        return self._functions.get((kind, name.lower()))

    async def invoke(
        self, function: Function, data: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> Answer:
        """Run a function; raises InvocationFailedError when it does."""
        inputs = [ParameterBinding(name=function.trigger["name"], data=data)]
        if function.clients:
            client = TypedData(string=self.client_binding)
            inputs += [ParameterBinding(name=name, data=client) for name in function.clients]
        invocation_id = str(uuid.UUID(int=_ids.getrandbits(128), version=4))
        invocation = SimpleNamespace(
            invocation_id=invocation_id,
            function_id=function.function_id,
            trace_context=_NO_TRACE,
            retry_context=_NO_RETRY,
            input_data=inputs,
            trigger_metadata=metadata or {},
        )
        # The library sets it for synchronous functions only; logs of async ones need it too.
        token = library.invocation_id_cv.set(invocation_id)
        begin = time.monotonic()
        try:
            response = await library.invocation_request(
                SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))
            )
        finally:
            library.invocation_id_cv.reset(token)
            spent = self.spent.setdefault(function.name, Spent())
            spent.executions += 1
            spent.seconds += time.monotonic() - begin
        if response.result.status == protos.StatusResult.Failure:
            failure = response.result.exception
            logger.error("function %s failed: %s", function.name, failure.stack_trace)
            raise InvocationFailedError(failure.message, failure.stack_trace)
        outputs = {output.name: output.data for output in response.output_data}
        return Answer(value=response.return_value, outputs=outputs)


_NO_TRACE = SimpleNamespace(trace_parent="", trace_state="", attributes={})
_NO_RETRY = SimpleNamespace(retry_count=0, max_retry_count=0, exception=None)


def _read_function(metadata: Any) -> Function:  # noqa: ANN401 - a bag filled by the library
    bindings = tuple(json.loads(binding) for binding in metadata.raw_bindings)
    trigger = next(binding for binding in bindings if binding["type"].endswith("Trigger"))
    try:
        kind = Trigger(trigger["type"])
    except ValueError as error:
        accepted = ", ".join(Trigger)
        raise AppError(
            f"function {metadata.name!r}: trigger {trigger['type']!r} is not one of {accepted}"
        ) from error
    return Function(
        name=metadata.name,
        function_id=metadata.function_id,
        kind=kind,
        trigger=trigger,
        bindings=bindings,
        clients=tuple(b["name"] for b in bindings if b["type"] == "durableClient"),
    )
