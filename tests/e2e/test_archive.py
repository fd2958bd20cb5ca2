"""History outlives the engine's memory: the archive has it all, and the engine may forget."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from durabletask.client import TaskHubGrpcClient

from deploy_logic.adapters.archive_file import ArchiveFile
from deploy_logic.adapters.durable import DurableEngine
from deploy_logic.codec import decode
from deploy_logic.ledger.record import Ledger
from deploy_logic.operations.purge import purge
from deploy_logic.ports import Wanted
from tests.e2e.scene import Scene

pytestmark = pytest.mark.e2e


def test_the_archive_has_every_line_and_then_the_engine_may_forget(scene: Scene) -> None:
    # Given a rollout that is over
    told = scene.register_and_end("swept")
    rollout_id = told["rollout_id"]
    archive = ArchiveFile(Path(scene.stack.app_settings()["ROLLOUT_ARCHIVE"]))

    def is_whole() -> bool | None:
        return archive.read_timeline(rollout_id) == told["timeline"] or None

    # Then all of its timeline has reached the archive, each line once, and its end
    scene.until(is_whole, "the whole timeline in the archive")

    def has_ended() -> bool | None:
        return (archive.read_rollout(rollout_id) or {}).get("phase") == "succeeded" or None

    scene.until(has_ended, "its end in the archive")
    listed, _ = archive.list_rollouts(Wanted(endpoint="swept"), limit=9)
    now = {"timeline", "possible"}  # the one is apart, the other is about this moment
    assert listed == [{key: value for key, value in told.items() if key not in now}]
    # When the engine forgets what is over
    with TaskHubGrpcClient(host_address=scene.stack.engine.ready["address"]) as client:
        engine = DurableEngine(cast("Any", client))
        moment = datetime.now(UTC) + timedelta(seconds=1)
        before = decode(Ledger, scene.ledger("swept"))
        served = engine.list_served(moment)
        assert len(served) > 1
        assert rollout_id not in served
        purged = purge(past=engine, archive=archive, retention=timedelta(0), now=moment)
        # Then it knows the rollout no more, nor what delivered its history
        assert {*served, rollout_id} <= {*purged}
        assert engine.show_rollout(rollout_id) is None
        assert [name for name in engine.list_over(moment) if name in purged] == []
    # and the archive and the ledger are as they were: the version is not rolled out again
    assert archive.read_timeline(rollout_id) == told["timeline"]
    assert decode(Ledger, scene.ledger("swept")) == before
