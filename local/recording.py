"""Records `rolloutctl watch` while the demo plays: `python -m local.recording`."""

import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from local.demo.story import POLICIES, Demo, check_environment
from local.program import REPOSITORY
from local.recorder import Recording, record, write_recording
from local.stack import Stack

FOLDER = REPOSITORY / "docs" / "recordings"
# Name of each picture, and what is on the screen at its moment.
PICTURES = {
    "watch": ("  progressing  ", " 70  candidate", "\ngates "),
    "watch-end": ("\nsucceeded",),
}
_ENDPOINT = "fraud"
_LOOK = 0.5  # seconds


def main() -> int:
    """Play the demo, and record the rollout of its second version of the fraud detector."""
    check_environment()
    data = REPOSITORY / ".local" / "recording"
    shutil.rmtree(data, ignore_errors=True)
    stack = Stack(policies=POLICIES, data=data, pace="demo")
    demo = Demo(stack, say=lambda line: print(line, flush=True))
    training, is_over = demo.train(), threading.Event()
    try:
        stack.start()
        if training.wait() != 0:
            print((data / "train.log").read_text(errors="replace"), file=sys.stderr)
            return 1
        with ThreadPoolExecutor(1) as pool:
            recording = pool.submit(_record, stack, is_over)
            try:
                demo.play()
            finally:
                is_over.set()
            found = recording.result()
    finally:
        training.kill()
        stack.stop()
    if found is None or found.code != 0:
        print("the rollout to record did not succeed; the demo's lines say why", file=sys.stderr)
        return 1
    write_recording(found, FOLDER, PICTURES)
    written = ", ".join(sorted(one.name for one in FOLDER.iterdir()))
    print(f"{FOLDER.relative_to(REPOSITORY)}: {written}")
    return 0


def _record(stack: Stack, is_over: threading.Event) -> Recording | None:
    """Wait until the first version serves, and record what comes to the endpoint next."""
    while not _has_served(stack):
        if is_over.wait(_LOOK):
            return None
    title = f"rolloutctl watch --endpoint {_ENDPOINT}"
    command = (sys.executable, "-m", *title.split(), "--every", "500ms")
    given = {"ROLLOUTCTL_APP": stack.host.ready["url"], "ROLLOUTCTL_TOKEN": find_token(stack)}
    return record(command, title=title, environment={**given, "PYTHONPATH": str(REPOSITORY)})


def _has_served(stack: Stack) -> bool:
    listed = stack.ask_app("GET", "rollouts")["rollouts"]
    return any(one["endpoint"] == _ENDPOINT and one["ended"] for one in listed)


def find_token(stack: Stack) -> str:
    """Return a token of somebody who may read.

    Until the stack has an identity provider, reading needs nobody.
    """
    make = getattr(stack, "token", None)
    return str(make()) if make is not None else ""


if __name__ == "__main__":
    sys.exit(main())
