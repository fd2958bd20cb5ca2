"""The durable engine of the laptop: durabletask's in-memory backend, made to survive kills.

Runs as a program too: ``python -m local.engine --port 0 --store engine.db``.
"""

import argparse
import importlib.metadata
import logging
import os
import signal
import threading
from concurrent import futures
from datetime import timedelta
from functools import partial
from pathlib import Path

import grpc
from durabletask.internal import orchestrator_service_pb2_grpc as stubs

from local.engine_client import Clients, IdReuse
from local.engine_store import Store, StoreError
from local.process import announce, stop_with_stdin

# Some twenty private members of this version are overridden or used.
LIBRARY = "1.12.0"
HOST = "127.0.0.1"

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Else two engines could listen on one port and each get some of the calls.
    ("grpc.so_reuseport", 0),
)


class EngineError(Exception):
    """The engine cannot start as asked."""


class Engine(Clients):
    """A durable task engine on one port of this machine; with a store it survives kill -9.

    `lease` hands out again what a worker has not answered in time; `id_reuse` says what a start
    with an existing id does; `threads` bounds connected workers plus waiting clients.
    """

    def __init__(
        self,
        port: int = 0,
        store: Path | None = None,
        lease: timedelta | None = None,
        id_reuse: str = IdReuse.REPLACE_FINISHED,
        threads: int = 64,
    ) -> None:
        found = importlib.metadata.version("durabletask")
        if found != LIBRARY:
            raise EngineError(f"durabletask is {found!r}: this engine is built on {LIBRARY!r} only")
        super().__init__(port, lease)
        self._id_reuse = IdReuse(id_reuse)
        self._path = store
        self._threads = threads

    def start(self) -> str:
        """Read the store, listen, and return the address; an engine starts once."""
        if self._server is not None or self._shutdown_event.is_set():
            raise EngineError("starting the engine: it was started before (make a new one)")
        if self._path is not None:
            self._store = Store(self._path)
            with self._lock:
                self._restore(self._store)
        server = grpc.server(futures.ThreadPoolExecutor(self._threads), options=_OPTIONS)
        stubs.add_TaskHubSidecarServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]  # generated without types
        try:
            port = server.add_insecure_port(f"{HOST}:{self._port}")
        except RuntimeError as error:
            self._close_store()
            raise EngineError(f"listening on port {self._port}: {error}") from error
        self._server = server
        self._alarm.start()
        server.start()
        return f"{HOST}:{port}"

    def _restore(self, store: Store) -> None:
        """Queue again all that was under way when the last engine on this store ended."""
        for instance in store.load_instances():
            self._instances[instance.instance_id] = instance
            instance.completion_token = self._new_token()
            self._ready.extend(instance.activities.values())
            self._arm_start(instance)
            for timer_id in instance.timers:
                self._arm_timer(instance, timer_id)
            if instance.pending_events:
                self._enqueue_orchestration(instance.instance_id)
        for entity in store.load_entities():
            self._entities[entity.instance_id] = entity
            for signal_event in entity.delayed:
                self._arm_signal(entity.instance_id, signal_event)
            if entity.pending_operations:
                self._enqueue_entity(entity.instance_id)

    def stop(self, grace: float | None = 1.0) -> None:
        """Let workers and clients go, then give the store back."""
        with self._lock:
            self._shutdown_event.set()
            for waiters in self._state_waiters.values():
                for waiter in waiters:
                    waiter.event.set()
            self._news.notify_all()
        if self._server is not None:
            self._server.stop(grace).wait()
            self._server = None
            self._alarm.stop()
        self._close_store()

    def _close_store(self) -> None:
        # The closed store stays in place: a handler that is late must fail, not go unwritten.
        with self._lock:
            if self._store is not None:
                self._store.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.engine", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--store", type=Path, help="SQLite file; without it all is in memory")
    parser.add_argument("--id-reuse", choices=list(IdReuse), default=IdReuse.REPLACE_FINISHED)
    parser.add_argument("--lease", type=float, help="seconds until unanswered work is given away")
    parser.add_argument("--stop-with-stdin", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Run the engine until it is asked to stop."""
    options = _options()
    if options.stop_with_stdin:
        stop_with_stdin()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_note, asked_to_stop))
    engine = Engine(
        options.port,
        options.store,
        None if options.lease is None else timedelta(seconds=options.lease),
        options.id_reuse,
    )
    try:
        address = engine.start()
    except (EngineError, StoreError) as error:
        raise SystemExit(f"local.engine: {error}") from error
    announce(address=address, port=int(address.rpartition(":")[2]), pid=os.getpid())
    asked_to_stop.wait()
    engine.stop()


def _note(event: threading.Event, *_signal: object) -> None:
    event.set()


if __name__ == "__main__":
    main()
