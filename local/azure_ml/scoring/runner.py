"""Runs in the scoring environment as one container: gunicorn with Microsoft's inference server.

The listening socket comes ready-made as a file descriptor, so no port is ever guessed. Standard
input is a pipe from the emulator: at its end the whole process group ends, however that died.
"""

import argparse
import os
import signal
import sys
import threading
from importlib.metadata import version
from typing import Any

import gunicorn.app.base


def _end_with_stdin() -> None:
    # os.read, not sys.stdin: a buffered reader's lock would break the interpreter's own shutdown.
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def watch_stdin() -> None:
    """End this process group as soon as standard input is closed."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()


class Container(gunicorn.app.base.BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """The server as `azmlinfsrv` starts it, except that it listens on loopback only."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        super().__init__()

    def load_config(self) -> None:
        """Apply what azmlinfsrv gives gunicorn, and the few settings a shared machine forces."""
        settings = {
            "bind": f"fd://{self._descriptor}",
            "workers": int(os.environ.get("WORKER_COUNT", "1")),
            "timeout": int(os.environ.get("WORKER_TIMEOUT", "300")),
            "preload_app": os.environ.get("WORKER_PRELOAD", "false").lower() == "true",
            "accesslog": "-",
            # The inference server has its own handler for gunicorn's log; here, before it loads,
            # gunicorn's own is the only one that can say why a worker did not boot.
            "errorlog": "-",
            # gunicorn 27 opens a control socket that all servers of one home would share.
            "control_socket_disable": True,
            # A worker outlives a master that is killed outright, so it watches for itself.
            "post_fork": lambda _server, _worker: watch_stdin(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - a WSGI application has no type of its own
        """Load the inference server, which imports the scoring script and runs its init()."""
        from azureml_inference_server_http.server.entry import (  # noqa: PLC0415 - runs init()
            app,
        )

        return app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="a listening socket's descriptor")
    descriptor = parser.parse_args().socket
    if os.getpgrp() != os.getpid():  # ending the group must never reach the caller's
        os.setpgid(0, 0)
    watch_stdin()
    server = f"azmlinfsrv/{version('azureml-inference-server-http')}"
    os.environ.setdefault("HTTP_X_MS_SERVER_VERSION", server)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - gunicorn's own command line does the same
    Container(descriptor).run()


if __name__ == "__main__":
    main()
