"""Shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for _profile, _examples in (("dev", 100), ("ci", 500), ("nightly", 5000)):
    settings.register_profile(
        _profile,
        max_examples=_examples,
        deadline=None,  # no timing asserts: a busy machine is not a broken law
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_PLANTED = Path(__file__).with_name("infra") / "planted-mistakes.txt"
_COMPARES_IT = "test_planted_mistakes.py::test_every_planted_mistake_is_caught_as_recorded"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which planted mistakes were caught, if the test that compares the table passed.

    Here and not beside that test: what runs tests in parallel prints in a process that collects
    nothing, and knows no conftest but those above the paths it was given.
    """
    passed = terminalreporter.getreports("passed")
    if any(report.nodeid.endswith(_COMPARES_IT) for report in passed):
        terminalreporter.section("mistakes planted into infra/, and what was said about each")
        terminalreporter.write(_PLANTED.read_text(encoding="utf-8"))
