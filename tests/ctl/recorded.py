"""Texts as they were recorded; GOLDEN=write records anew, and the difference is reviewed."""

import os
from pathlib import Path

FOLDER = Path(__file__).with_name("frames")


def assert_golden(name: str, text: str) -> None:
    path = FOLDER / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(f"{text}\n", encoding="utf-8")
    assert f"{text}\n" == path.read_text(encoding="utf-8")
