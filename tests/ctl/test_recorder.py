"""The recorder: a cast that any player can play, and pictures that need nothing of a network."""

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pyte
import pytest

from local.recorder import Recording, Size, record, write_recording
from local.recording import FOLDER, PICTURES
from rolloutctl.exit import Exit
from tests.ctl.app import OPERATOR, App
from tests.ctl.story import ID, failed, rollout
from tests.ctl.terminal import REPOSITORY

SIZE = Size(columns=100, lines=40)


@pytest.fixture
def recording(app: App, home: Path) -> Recording:
    app.script = [rollout(), failed()]
    given = {"ROLLOUTCTL_APP": app.url, "ROLLOUTCTL_TOKEN": OPERATOR, "HOME": str(home)}
    command = (sys.executable, "-m", "rolloutctl", "watch", ID, "--every", "50ms")
    environment = {**given, "PYTHONPATH": str(REPOSITORY)}
    return record(command, title="rolloutctl watch", environment=environment, size=SIZE)


def test_what_a_command_showed_can_be_played_again(recording: Recording, tmp_path: Path) -> None:
    assert recording.code == Exit.NO
    write_recording(recording, tmp_path, {"end": ("\nfailed",)})
    assert play(tmp_path / "watch.cast").splitlines()[-1] == "failed"
    picture = (tmp_path / "end.svg").read_text()
    assert_is_a_picture_of_its_own(picture)
    assert "160&#160;of&#160;512" in picture
    (clip,) = re.findall(r'viewBox="0 0 (\d+)', picture)
    assert int(clip) > 1000


def test_a_moment_that_never_was_is_said(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="was never on the screen"):
        write_recording(recording, tmp_path, {"never": ("at weight 99",)})


def play(path: Path) -> str:
    """Return the last screen of a cast; times must not run back."""
    header, *parts = (json.loads(line) for line in path.read_text().splitlines())
    assert header["version"] == 2
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    times = [after for after, _, _ in parts]
    assert times == sorted(times)
    for _, kind, text in parts:
        assert kind == "o"
        stream.feed(text)
    return "\n".join(line.rstrip() for line in screen.display).rstrip()


def assert_is_a_picture_of_its_own(text: str) -> None:
    ET.fromstring(text)  # noqa: S314 - our own
    addresses = set(re.findall(r"https?://[^\s\"')]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in text


def test_the_recording_in_the_docs_is_whole() -> None:
    assert play(FOLDER / "watch.cast").splitlines()[-1] == "succeeded"
    for name in PICTURES:
        assert_is_a_picture_of_its_own((FOLDER / f"{name}.svg").read_text(encoding="utf-8"))
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(PICTURES)
