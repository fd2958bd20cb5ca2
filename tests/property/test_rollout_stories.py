"""The other half of the random stories of test_rollout_laws.py, for another worker."""

from hypothesis import given, settings

from tests.property.judge import judge
from tests.property.strategies import Tale, tales, tell
from tests.property.test_rollout_laws import STORIES


@settings(max_examples=STORIES - STORIES // 2)
@given(tales())
def test_no_other_story_breaks_a_promise(tale: Tale) -> None:
    assert judge(tell(tale)) == []
