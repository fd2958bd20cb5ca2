"""A part of a long list is read alone, and is the same part as of the whole list."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azure_ml.store import Documents, Store

COUNT = 7


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state.db")
    for number in reversed(range(COUNT)):  # the order of writing is not that of the names
        made.put("thing", f"T-{number}", {"number": number})
    made.put("other", "x", {"number": 99})
    yield made
    made.close()


SLICES = [slice(0, 3), slice(3, 6), slice(5, 100), slice(9, 12), slice(None), slice(None, None, 2)]


@pytest.mark.parametrize("part", SLICES, ids=str)
def test_a_part_is_that_part_of_all(store: Store, part: slice) -> None:
    assert Documents(store, "thing")[part] == store.all("thing")[part]


def test_one_is_found_from_either_end_and_none_beyond(store: Store) -> None:
    found = Documents(store, "thing")
    assert len(found) == COUNT
    assert found[0] == {"number": COUNT - 1}
    assert found[-1] == {"number": 0}
    with pytest.raises(IndexError):
        found[COUNT]


def test_what_is_not_asked_for_is_not_read(store: Store) -> None:
    store._database.execute("UPDATE documents SET body = 'no JSON' WHERE key = 't-0'")
    assert [one["number"] for one in Documents(store, "thing")[:2]] == [6, 5]
    with pytest.raises(json.JSONDecodeError):
        store.all("thing")


def test_a_listing_sees_the_past_while_it_is_looked_at(store: Store) -> None:
    past = store.copy()
    store.delete("thing", "t-6")
    with store.looking_at(past):
        assert len(Documents(store, "thing")) == COUNT
    assert len(Documents(store, "thing")) == COUNT - 1
    past.close()
