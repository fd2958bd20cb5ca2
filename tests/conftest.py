"""Shared by all tests."""

import os

from hypothesis import HealthCheck, settings

for _profile, _examples in (("dev", 100), ("ci", 500), ("nightly", 5000)):
    settings.register_profile(
        _profile,
        max_examples=_examples,
        deadline=None,  # no timing asserts: a busy machine is not a broken law
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
