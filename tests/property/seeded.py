"""How a seeded bug is looked for: among so many random cases, the first that a law minds."""

from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy


def is_found[T](
    among: SearchStrategy[T], is_broken: Callable[[T], bool], *, most: int, seed: int | None = None
) -> bool:
    """Return whether a case that the law minds is among the first ones; it is not made small.

    seed: look through other cases than those of this run, and through the same ones each time.
    """
    rules = settings(
        max_examples=most,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    chance = None if seed is None else Random(seed)  # noqa: S311 - cases, not secrets
    try:
        find(among, is_broken, settings=rules, random=chance)
    except NoSuchExample:
        return False
    return True
