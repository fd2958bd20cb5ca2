"""What every program of this folder does as a child process: be heard, and end with its parent."""

import json
import os
import threading

STDIN = 0


def announce(**fields: object) -> None:
    """Print the one JSON line a parent waits for: ``{"ready": true, ...fields}``."""
    print(json.dumps({"ready": True, **fields}), flush=True)


def stop_with_stdin() -> None:
    """End this process at once when its stdin ends, which it does however the parent dies."""
    threading.Thread(target=_exit_at_end_of_stdin, name="stop-with-stdin", daemon=True).start()


def _exit_at_end_of_stdin() -> None:
    # os.read and not sys.stdin: a daemon thread inside a buffered read makes the interpreter abort
    # when the program ends by itself.
    try:
        while os.read(STDIN, 4096):
            pass
    finally:
        os._exit(0)
