"""What goes wrong, slow or old on demand: faults, throttling, the clock, the pace."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.azure_ml import pace
from local.azure_ml.pace import Durations
from local.azure_ml.throttling import Throttling
from tests.local.azure_ml_lab import FAKE, REPOSITORY, Lab, lab, until

CLASSES = ("reads", "writes", "deletes")


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("faults")) as emulator:
        emulator.register("m", "1")
        emulator.succeed(emulator.put_endpoint("fraud"))
        emulator.succeed(emulator.put_deployment("fraud/blue", "m:1"))
        yield emulator


@pytest.fixture(autouse=True)
def as_usual(aml: Lab) -> Iterator[None]:
    yield
    aml.admin("DELETE", "faults")
    aml.admin("PUT", "throttling", {"refuse": False})
    aml.admin("PUT", "clock", {"frozen": False})
    aml.admin("PUT", "pace", {"pace": "instant"})


def tags(aml: Lab) -> Any:
    return aml.get_endpoint("fraud")["tags"]


def retag(aml: Lab, value: str) -> None:
    assert aml.arm("PATCH", "onlineEndpoints/fraud", {"tags": {"is": value}}).status == 200


# --- stale reads


def test_stale_reads_show_what_was_there_when_they_were_asked_for(aml: Lab) -> None:
    retag(aml, "old")
    aml.admin("POST", "faults", {"path_regex": "/onlineEndpoints/fraud", "stale": True, "count": 2})
    retag(aml, "new")
    assert [tags(aml) for _ in range(3)] == [{"is": "old"}, {"is": "old"}, {"is": "new"}]


def test_stale_reads_do_not_know_what_is_new(aml: Lab) -> None:
    aml.admin("POST", "faults", {"path_regex": "/models/", "stale": True, "count": 2})
    assert aml.register("fresh", "1").status == 201
    assert aml.arm("GET", "models/fresh/versions/1").status == 404
    assert aml.arm("GET", "models/fresh/versions").status == 404
    assert aml.arm("GET", "models/fresh/versions/1").status == 200


def test_writes_are_never_stale(aml: Lab) -> None:
    aml.admin("POST", "faults", {"stale": True, "count": 1})
    retag(aml, "written")
    aml.admin("DELETE", "faults")
    assert tags(aml) == {"is": "written"}


# --- which request


def test_fault_lets_some_pass_first_and_is_listed(aml: Lab) -> None:
    fault = {"path_regex": "/models/m", "status": 503, "skip": 2, "count": 1}
    aml.admin("POST", "faults", fault)
    replies = [aml.arm("GET", "models/m/versions/1").status for _ in range(2)]
    listed = aml.admin("GET", "faults")
    assert listed == {"pending": 1, "faults": [{**fault, "skip": 0, "left": 1}]}
    replies += [aml.arm("GET", "models/m/versions/1").status for _ in range(2)]
    assert replies == [200, 200, 503, 200]
    assert aml.admin("GET", "faults") == {"pending": 0, "faults": []}


@pytest.mark.parametrize(
    "fault", [{"stale": True, "status": 500}, {"skip": 1}, {"stale": "yes"}], ids=str
)
def test_faults_that_make_no_sense_are_refused(aml: Lab, fault: dict[str, Any]) -> None:
    assert aml.send("POST", "/admin/faults", fault).status == 400


# --- throttling


def test_every_answer_says_what_the_buckets_have_left(aml: Lab) -> None:
    name = "x-ms-ratelimit-remaining-subscription"
    for method, path, kind in (
        ("GET", "models/m/versions/1", "reads"),
        ("GET", "models/none", "reads"),
        ("DELETE", "models/none/versions/1", "deletes"),
        ("PUT", "models/m", "writes"),
    ):
        headers = aml.arm(method, path, {"properties": {}} if method == "PUT" else None).headers
        left = int(headers[f"{name}-{kind}"])
        assert int(headers[f"{name}-global-{kind}"]) == left * 15 + 14
        assert headers["x-ms-request-id"]


def test_empty_bucket_refuses_when_told_to_and_only_its_kind(aml: Lab) -> None:
    slow = {"size": 3, "per_second": 0.001}
    aml.admin("PUT", "throttling", {"refuse": True, "reads": slow})
    replies = [aml.arm("GET", "models/m/versions/1") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert replies[-1].code == "SubscriptionRequestsThrottled"
    assert int(replies[-1].headers["retry-after"]) > 900
    retag(aml, "unhindered")
    aml.admin("PUT", "throttling", {"refuse": False})
    assert aml.arm("GET", "models/m/versions/1").status == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"refuse": 1},
        {"calls": {}},
        {"reads": 5},
        {"reads": {"size": 0, "per_second": 1}},
        {"reads": {"size": 1, "per_second": 0}},
    ],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(aml: Lab, asked: dict[str, Any]) -> None:
    assert aml.send("PUT", "/admin/throttling", asked).status == 400


def test_buckets_start_as_documented() -> None:
    assert {kind: Throttling().set({})[kind]["size"] for kind in CLASSES} == {
        "reads": 250,
        "writes": 200,
        "deletes": 200,
    }


# --- the clock


def now(aml: Lab) -> datetime:
    return datetime.fromisoformat(aml.admin("GET", "clock")["now"])


def test_frozen_clock_holds_operations_until_it_is_moved(aml: Lab) -> None:
    aml.admin("PUT", "clock", {"frozen": True})
    aml.admin("PUT", "pace", {"pace": "realistic"})
    reply = aml.put_endpoint("fraud", traffic={"blue": 100})
    began = now(aml)
    aml.admin("PUT", "clock", {"advance": 19.9})
    assert aml.status(reply)["status"] == "Updating"
    aml.admin("PUT", "clock", {"advance": 0.2})
    aml.succeed(reply)
    ended = aml.status(reply)
    took = datetime.fromisoformat(ended["endTime"]) - datetime.fromisoformat(ended["startTime"])
    rounding = timedelta(microseconds=2)  # stamps have six digits, seconds since 1970 fewer
    assert abs(took - timedelta(seconds=20.1)) <= rounding
    assert abs(now(aml) - began - timedelta(seconds=20.1)) <= rounding


def test_stamps_and_tokens_are_of_the_emulators_time(aml: Lab) -> None:
    aml.admin("PUT", "clock", {"frozen": True, "advance": 86_400})
    moment = now(aml)
    made = aml.register("dated", "1").json["systemData"]["createdAt"]
    assert abs(datetime.fromisoformat(made) - moment) < timedelta(milliseconds=1)
    mode = {"authMode": "AMLToken"}
    aml.succeed(aml.put_endpoint("tokens", **mode))
    token = aml.arm("POST", "onlineEndpoints/tokens/token").json
    assert token["expiryTimeUtc"] == int(moment.timestamp()) + 86_400
    headers = {"Authorization": f"Bearer {token['accessToken']}"}
    statuses = []
    for seconds in (86_000, 1_000):
        aml.admin("PUT", "clock", {"advance": seconds})
        statuses.append(aml.send("POST", "/endpoints/tokens/score", b"{}", headers).status)
    assert statuses == [200, 401]


def test_clock_survives_a_restart(tmp_path: Path) -> None:
    with lab(tmp_path) as aml:
        shown = aml.admin("PUT", "clock", {"frozen": True, "advance": 3600})
        aml.kill9()
        aml.start()
        assert aml.admin("GET", "clock") == shown
        reset = aml.admin("PUT", "clock", {"reset": True, "frozen": False})
        assert not reset["frozen"]
        assert datetime.fromisoformat(reset["now"]) < datetime.fromisoformat(shown["now"])


@pytest.mark.parametrize("asked", [{"advance": -1}, {"advance": "1"}, {"to": 1}, {"frozen": 1}])
def test_times_that_make_no_sense_are_refused(aml: Lab, asked: dict[str, Any]) -> None:
    assert aml.send("PUT", "/admin/clock", asked).status == 400


# --- the pace at the start


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("instant", Durations(), id="name"),
        pytest.param("traffic=0.5", Durations(traffic=0.5), id="single"),
        pytest.param(
            "realistic, deployment=3,metrics=0",
            Durations(endpoint=90, traffic=20, deployment=3, delete=20),
            id="mixed",
        ),
    ],
)
def test_pace_is_read_from_the_command_line(text: str, expected: Durations) -> None:
    assert pace.read(text) == expected


@pytest.mark.parametrize("text", ["slow", "traffic", "traffic=-1", "traffic=soon", "", "colour=1"])
def test_pace_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"pace|float"):
        pace.read(text)


def test_wrong_pace_ends_the_start_with_what_would_be_right(tmp_path: Path) -> None:
    command = (sys.executable, "-m", FAKE, "--data", str(tmp_path), "--pace", "slow")
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "instant, demo, realistic, endpoint=SECONDS" in ended.stderr


def test_operation_takes_the_time_given_at_the_start(tmp_path: Path) -> None:
    with lab(tmp_path, "--pace", "demo,endpoint=3600") as aml:
        reply = aml.put_endpoint("slow")
        assert aml.status(reply)["status"] == "Updating"
        aml.admin("PUT", "clock", {"advance": 3600})
        until(lambda: aml.status(reply)["status"] == "Succeeded")
