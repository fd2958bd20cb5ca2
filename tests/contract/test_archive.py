"""The Archive port: the same claims on the fake, on a folder, and on a table of Azurite."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy_logic.adapters.archive_file import ArchiveFile
from deploy_logic.adapters.archive_table import ArchiveTable
from deploy_logic.archive import make_line, name_place
from deploy_logic.codec import Json
from deploy_logic.errors import InputError, TransientError
from deploy_logic.ports import Archive, Wanted
from tests.contract.archives import AZURITE, INSTALL, Azurite, Guest, azurite, find_node
from tests.fake_archive import FakeArchive

BEGIN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ENDS = frozenset({"succeeded", "failed", "errored", "superseded"})


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    if not find_node() or not AZURITE.exists():
        pytest.skip(f"Azurite is not installed: {INSTALL}")
    with (
        azurite(tmp_path_factory.mktemp("azurite")) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REQUESTS_CA_BUNDLE", str(running.authority))
        yield running


@pytest.fixture(params=["fake", "file", "table"])
def archive(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Archive:
    if request.param == "fake":
        return FakeArchive()
    if request.param == "file":
        return ArchiveFile(tmp_path / "archive")
    running: Azurite = request.getfixturevalue("tables")
    # a table of its own, as every test begins with an archive that has nothing
    name = f"Archive{uuid.uuid4().hex}"
    monkeypatch.setattr("deploy_logic.adapters.archive_table.TABLE", name)
    return ArchiveTable(running.address, credential=Guest())


def at(minutes: float) -> str:
    moment = BEGIN + timedelta(minutes=minutes)
    return moment.isoformat().replace("+00:00", "Z")  # as pydantic writes it


def a_rollout(name: str = "fraud-7", *, started: float = 0, **changes: object) -> Json:
    usual = {"endpoint": "fraud", "model": "fraud", "policy": "fraud-prod", "phase": "pending"}
    return {"rollout_id": name, "started": at(started), **usual, **changes}


def a_row(rollout: Json, *, minute: float = 0, lines: int = 0) -> Json:
    return {"kind": "rollout", "at": at(minute), "lines": lines, "rollout": rollout}


def a_line(index: int, *, name: str = "fraud-7", minute: float = 0, text: str = "baked") -> Json:
    line = {"at": at(minute), "text": text, "figures": {"weights": {"fraud-v7": 10}, "n": index}}
    return make_line(name, index, line)


def an_audit(name: str = "a-1", *, minute: float = 0) -> Json:
    said = {"by": "ann", "operation": "abort", "outcome": "accepted", "status": 200}
    return {"kind": "audit", "id": name, "at": at(minute), **said}


def ids(rollouts: Sequence[Json]) -> list[str]:
    return [one["rollout_id"] for one in rollouts]


def page_through(archive: Archive, wanted: Wanted, limit: int) -> list[list[str]]:
    pages, after = [], ""
    while True:
        page, after = archive.list_rollouts(wanted, after=after, limit=limit)
        pages.append(ids(page))
        if not after:
            return pages


def test_an_archive_that_was_never_written_has_nothing(archive: Archive) -> None:
    assert archive.list_rollouts(Wanted(), limit=10) == ([], "")
    assert archive.read_rollout("fraud-7") is None
    assert archive.read_timeline("fraud-7") == []
    assert list(archive.export()) == []


def test_what_was_appended_is_read_back(archive: Archive) -> None:
    rollout = a_rollout(weights={"fraud-v7": 10}, reason='größer als "99 %" 🙂\n')
    archive.append([a_line(0), a_line(1, minute=1, text="größer 🙂"), a_row(rollout)])
    assert archive.read_rollout("fraud-7") == rollout
    assert archive.list_rollouts(Wanted(), limit=10) == ([rollout], "")
    assert archive.read_timeline("fraud-7") == [
        {key: row[key] for key in ("at", "text", "figures")}
        for row in (a_line(0), a_line(1, minute=1, text="größer 🙂"))
    ]


def test_the_same_row_twice_is_one(archive: Archive) -> None:
    rows = [a_line(0), a_line(1), a_row(a_rollout()), an_audit()]
    for _ in range(2):
        archive.append(rows)
    archive.append([*rows, *rows])
    assert len(archive.read_timeline("fraud-7")) == 2
    assert ids(archive.list_rollouts(Wanted(), limit=10)[0]) == ["fraud-7"]
    assert list(archive.export()) == [a_line(0), a_line(1), an_audit()]


def test_lines_are_in_the_order_of_the_timeline_however_they_came(archive: Archive) -> None:
    archive.append([a_line(index, minute=index) for index in (11, 2)])
    archive.append([a_line(index, minute=index) for index in (100, 0, 1)])
    numbers = [line["figures"]["n"] for line in archive.read_timeline("fraud-7")]
    assert numbers == [0, 1, 2, 11, 100]


def test_an_older_row_of_a_rollout_does_not_undo_a_newer_one(archive: Archive) -> None:
    archive.append([a_row(a_rollout(phase="promoting"), minute=5)])
    archive.append([a_row(a_rollout(phase="progressing"), minute=4)])
    assert (archive.read_rollout("fraud-7") or {})["phase"] == "promoting"
    archive.append([a_row(a_rollout(phase="succeeded"), minute=6)])
    archive.append([a_row(a_rollout(phase="waiting"), minute=7)])  # of a clock that is ahead
    assert (archive.read_rollout("fraud-7") or {})["phase"] == "succeeded"
    assert [one["phase"] for one in archive.list_rollouts(Wanted(), limit=9)[0]] == ["succeeded"]


def test_of_two_rows_of_the_same_moment_the_one_with_more_lines_counts(archive: Archive) -> None:
    archive.append([a_row(a_rollout(phase="promoting"), lines=9)])
    archive.append([a_row(a_rollout(phase="progressing"), lines=8)])
    assert (archive.read_rollout("fraud-7") or {})["phase"] == "promoting"


def test_lists_are_newest_first_in_pages_that_leave_nothing_out(archive: Archive) -> None:
    # whole seconds are written without a fraction, and two may start in the same moment
    starts = {"a": 0.0, "ab": 0.0, "b": 1 / 60, "c": 1.5 / 60, "d": 2 / 60, "B.1": 3.0}
    archive.append([a_row(a_rollout(name, started=when)) for name, when in starts.items()])
    newest_first = ["B.1", "d", "c", "b", "ab", "a"]
    assert page_through(archive, Wanted(), 100) == [newest_first]
    assert page_through(archive, Wanted(), 4) == [newest_first[:4], newest_first[4:]]
    assert page_through(archive, Wanted(), 3) == [newest_first[:3], newest_first[3:]]
    assert page_through(archive, Wanted(), 1) == [[name] for name in newest_first]


def test_whoever_knows_a_rollout_may_go_on_after_it(archive: Archive) -> None:
    archive.append([a_row(a_rollout(name, started=n)) for n, name in enumerate("abcd")])
    place = name_place(a_rollout("c", started=2))
    assert ids(archive.list_rollouts(Wanted(), after=place, limit=9)[0]) == ["b", "a"]
    between = name_place(a_rollout("nobody", started=1.5))
    assert ids(archive.list_rollouts(Wanted(), after=between, limit=9)[0]) == ["b", "a"]


@pytest.mark.parametrize("place", ["nonsense", "2026-11-23T09:00:00Z", "/fraud-7", "x/fraud-7"])
def test_a_place_that_is_none_is_refused(archive: Archive, place: str) -> None:
    with pytest.raises(InputError):
        archive.list_rollouts(Wanted(), after=place, limit=9)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(phases=frozenset({"failed"})), ["c"]),
        (Wanted(phases=ENDS), ["c", "b"]),
        (Wanted(endpoint="FRAUD"), ["d", "b"]),
        (Wanted(model="churn"), ["c", "a"]),
        (Wanted(model="CHURN"), []),
        (Wanted(policy='it\'s "odd"'), ["a"]),
        (Wanted(since=at(1)), ["d", "c", "b"]),
        (Wanted(until=at(2)), ["b", "a"]),
        (Wanted(since=at(1), until=at(3)), ["c", "b"]),
        (Wanted(since="2026-11-23T10:02:00+01:00"), ["d", "c"]),
        (Wanted(endpoint="fraud", phases=ENDS, since=at(0)), ["b"]),
        (Wanted(endpoint="nowhere"), []),
    ],
)
def test_lists_have_what_is_wanted_and_nothing_else(
    archive: Archive, wanted: Wanted, found: list[str]
) -> None:
    archive.append(
        [
            a_row(a_rollout("a", model="churn", endpoint="churn", policy='it\'s "odd"')),
            a_row(a_rollout("b", started=1, phase="succeeded")),
            a_row(a_rollout("c", started=2, phase="failed", model="churn", endpoint="churn")),
            a_row(a_rollout("d", started=3, endpoint="Fraud")),
        ]
    )
    assert [name for page in page_through(archive, wanted, 1) for name in page] == found


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a#b?c", "a' or 1 eq 1", "ä", "x" * 300])
def test_what_cannot_be_an_id_is_not_there(archive: Archive, name: str) -> None:
    archive.append([a_line(0), a_row(a_rollout())])
    assert archive.read_rollout(name) is None
    assert archive.read_timeline(name) == []


def test_the_export_has_lines_and_audits_of_the_time_oldest_first(archive: Archive) -> None:
    day = 24 * 60
    archive.append([a_line(n, minute=n * day) for n in (2, 0, 1)])
    archive.append([a_line(0, name="churn-1", minute=0.5), an_audit("b", minute=day), an_audit()])
    whole = [
        a_line(0),
        a_line(0, name="churn-1", minute=0.5),
        a_line(1, minute=day),
        a_line(2, minute=2 * day),
        an_audit(),
        an_audit("b", minute=day),
    ]
    assert list(archive.export()) == whole
    assert list(archive.export(since=at(0.5), until=at(2 * day))) == [*whole[1:3], whole[5]]
    assert list(archive.export(until=at(0))) == []
    assert list(archive.export(since=at(2 * day))) == [whole[3]]


def test_more_rows_than_a_transaction_holds_are_kept(archive: Archive) -> None:
    archive.append([a_line(n, minute=n / 60) for n in range(250)])
    numbers = [line["figures"]["n"] for line in archive.read_timeline("fraud-7")]
    assert numbers == list(range(250))
    assert len(list(archive.export())) == 250


def test_long_lines_are_kept_whole(archive: Archive) -> None:
    texts = ["ü" * 5_000, "x" * 200_000]
    archive.append([a_line(n, text=text) for n, text in enumerate(texts)])
    assert [line["text"] for line in archive.read_timeline("fraud-7")] == texts


def test_a_day_of_many_rollouts_is_listed_whole(archive: Archive) -> None:
    count = 1_005 if isinstance(archive, ArchiveFile) else 24
    archive.append([a_row(a_rollout(f"r-{n:04}", started=n)) for n in range(count)])
    pages = page_through(archive, Wanted(), count // 5)
    assert [name for page in pages for name in page] == [
        f"r-{n:04}" for n in reversed(range(count))
    ]


def test_several_write_at_once_and_nothing_is_lost(archive: Archive) -> None:
    failures: list[Exception] = []

    def write(writer: int) -> None:
        try:
            for n in range(10):
                phase = "succeeded" if n == 9 and writer == 2 else "progressing"
                archive.append([a_line(10 * writer + n), a_row(a_rollout(phase=phase), minute=n)])
        except Exception as error:  # noqa: BLE001 - of a thread, to be told by the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=[writer]) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(archive.read_timeline("fraud-7")) == 30
    assert (archive.read_rollout("fraud-7") or {})["phase"] == "succeeded"


def test_an_unknown_kind_of_row_is_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match="gossip"):
        archive.append([{"kind": "gossip", "at": at(0)}])


def test_a_folder_can_be_used_by_two_at_once(tmp_path: Path) -> None:
    one, other = ArchiveFile(tmp_path), ArchiveFile(tmp_path)
    one.append([a_row(a_rollout("a"))])
    other.append([a_row(a_rollout("b", started=1))])
    assert ids(one.list_rollouts(Wanted(), limit=9)[0]) == ["b", "a"]


def test_a_folder_that_cannot_be_one_may_be_asked_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TransientError, match="archive"):
        ArchiveFile(tmp_path / "file").append([an_audit()])


@pytest.mark.parametrize("archive", ["table"], indirect=True)
def test_a_row_that_no_entity_holds_is_cut_and_says_so(archive: Archive) -> None:
    line = a_line(0, text="x" * 500_000)
    archive.append([{**line, "figures": {"log": "y" * 500_000}}])
    (kept,) = archive.export()
    assert kept["text"] == "x" * 1_666 + "…"
    assert "left out: 5000" in kept["figures"]["cut"]
    assert set(kept["cut"]) == {"text", "figures"}
    assert archive.read_timeline("fraud-7") == [
        {"at": line["at"], "text": kept["text"], "figures": kept["figures"]}
    ]


def test_a_table_that_nobody_answers_for_may_be_asked_again() -> None:
    archive = ArchiveTable("https://127.0.0.1:9/nobody", credential=Guest())
    calls: list[Callable[[], object]] = [
        lambda: archive.append([an_audit()]),
        lambda: archive.list_rollouts(Wanted(), limit=1),
        lambda: archive.read_rollout("fraud-7"),
        lambda: list(archive.export()),
    ]
    for call in calls:
        with pytest.raises(TransientError, match="archive at https"):
            call()
