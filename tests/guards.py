"""The guards of deploy_logic, each with the text that makes it and what would undo it.

`make mutants` takes them out one at a time and looks which test notices.
"""

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One line that stands between callers and harm."""

    name: str
    file: str  # under deploy_logic
    text: str  # stands in the file exactly once
    without: str  # what it is replaced by: the guard is gone, the rest goes on
    tests: str  # modules that should notice, without `tests/test_` and `.py`

    @property
    def path(self) -> Path:
        """Where it stands, from the root of the repository."""
        return Path("deploy_logic", self.file)

    @property
    def test_files(self) -> tuple[str, ...]:
        """The modules that should notice, as pytest takes them."""
        return tuple(f"tests/test_{name}.py" for name in self.tests.split())

    def find(self, text: str) -> str:
        """Return why the guard cannot be taken out of this text, or nothing."""
        count = text.count(self.text)
        return "" if count == 1 else f"{self.name}: found {count} times in {self.path} (once)"

    def remove(self, text: str) -> str:
        """Return the text without the guard."""
        return text.replace(self.text, self.without)


_STORIES = "orchestrator story_gates story_people story_day"

WEIGHTS = (
    Guard(
        name="weights are read back",
        file="activities/workspace.py",
        text="if found is None or _is_changing(found) or not _has(found, wanted, mirror):",
        without="if found is None:",
        tests="activities orchestrator",
    ),
    Guard(
        name="a read that does not show what was written is not believed",
        file="activities/workspace.py",
        text='if not ours or endpoint.operation in {"", ours} or looks >= _LOOKS:',
        without="if True:",
        tests="activities",
    ),
    Guard(
        name="the weight is read again before a delete",
        file="activities/workspace.py",
        text="if _weight(endpoint, name) != 0:",
        without="if False:",
        tests="activities orchestrator",
    ),
    Guard(
        name="only a deployment of this rollout is retired",
        file="activities/workspace.py",
        text='if payload["must_be_ours"] and found.rollout_id != payload["rollout_id"]:',
        without="if False:",
        tests="activities orchestrator",
    ),
    Guard(
        name="nothing is retired while it is being changed",
        file="activities/workspace.py",
        text='if found.provisioning_state in {"Creating", "Updating", "Scaling", "Deleting"}:',
        without="if False:",
        tests="activities orchestrator",
    ),
    Guard(
        name="a deployment of somebody else is no candidate",
        file="activities/workspace.py",
        text="    if found.rollout_id != plan.rollout_id:",
        without="    if False:",
        tests="activities orchestrator",
    ),
    Guard(
        name="weights set by others are not overwritten",
        file="activities/workspace.py",
        text="if known is not None and _nonzero(endpoint.traffic) not in "
        "[_nonzero(one) for one in known]:",
        without="if False:",
        tests="activities story_people",
    ),
    Guard(
        name="the stable has all weight before the candidate is retired",
        file="story/orchestrator.py",
        text="yield from assert_weights(diary, patient, weights, mirror=mirror)",
        without="diary.weigh(weights)",
        tests="orchestrator",
    ),
    Guard(
        name="a roll back ends the mirror",
        file="story/orchestrator.py",
        text="mirror: Mapping[str, int] | None = {} if plan.has_mirror else None",
        without="mirror: Mapping[str, int] | None = None",
        tests="story_gates orchestrator",
    ),
    Guard(
        name="the mirror has ended before live weight",
        file="plan/layout.py",
        text="*_bake(mirror.bake, watches), Mirror(percent=0)]",
        without="*_bake(mirror.bake, watches)]",
        tests="plan story_gates",
    ),
    Guard(
        name="whoever is healthy serves on when rolling back breaks",
        file="story/orchestrator.py",
        text="        diary.enter(Phase.ERRORED, reason)\n        return ()\n",
        without="        diary.enter(Phase.ERRORED, reason)\n",
        tests="orchestrator",
    ),
)

WAITS = (
    Guard(
        name="the deadline of the whole",
        file="story/waiting.py",
        text="self._deadline = self._context.timer(self._context.now + length)",
        without="self._deadline = self._context.timer(self._context.now + 1000 * length)",
        tests="orchestrator story_people",
    ),
    Guard(
        name="Retry-After has a bound of ours",
        file="story/waiting.py",
        text='min(timedelta(seconds=answer.get("retry_after", 0)), _LONGEST_RETRY_AFTER)',
        without='timedelta(seconds=answer.get("retry_after", 0))',
        tests="orchestrator",
    ),
    Guard(
        name="an effect is never abandoned half way",
        file="story/waiting.py",
        text="        try:\n"
        "            answer: Json = yield self._context.call(activity, payload)\n",
        without="        called = self._context.call(activity, payload)\n"
        "        while self._is_listening and not called.is_complete:\n"
        "            yield self._context.any([called, self._inbox])\n"
        "            self.heed()\n"
        "        try:\n            answer: Json = yield called\n",
        tests="orchestrator",
    ),
    Guard(
        name="nothing turns a roll back round",
        file="story/orchestrator.py",
        text="    diary.waiting.deafen()\n    diary.wait_on(None)\n",
        without="    diary.wait_on(None)\n",
        tests="orchestrator",
    ),
    Guard(
        name="a promotion that is complete is not aborted",
        file="story/orchestrator.py",
        text="    diary.waiting.deafen()  # promotion is complete",
        without="    pass  # promotion is complete",
        tests="orchestrator",
    ),
    Guard(
        name="an operation is left aside where its phase does not allow it",
        file="story/waiting.py",
        text="if not allows(request.operation, self._phase()):",
        without="if False:",
        tests=_STORIES,
    ),
    Guard(
        name="no more rollouts in parallel than the cap",
        file="ledger/turns.py",
        text="len(turns.places) if cap == 0 else cap - sum(one.has_turn for one in turns.places)",
        without="len(turns.places)",
        tests="turns",
    ),
)

PEOPLE = (
    Guard(
        name="an approval needs its quorum",
        file="story/asking.py",
        text="if len(approved) < self.awaited.quorum:",
        without="if False:",
        tests="story_people",
    ),
    Guard(
        name="no approval by the deadline is a no",
        file="story/asking.py",
        text="        raise Stop(Phase.FAILED, late)\n",
        without="        return\n",
        tests="story_people",
    ),
    Guard(
        name="only approvers approve",
        file="rollout.py",
        text="if awaited.approvers and not claims & {one.lower() for one in awaited.approvers}:",
        without="if False:",
        tests="rollout story_people",
    ),
    Guard(
        name="an approval rests on the figures of now",
        file="rollout.py",
        text="if request.figures != awaited.figures:",
        without="if False:",
        tests="rollout story_people story_gates",
    ),
    Guard(
        name="nobody approves twice",
        file="rollout.py",
        text="if request.operation is Operation.APPROVE and request.by in awaited.approved_by:",
        without="if False:",
        tests="rollout story_people",
    ),
    Guard(
        name="whoever registered the version does not approve it",
        file="rollout.py",
        text="if request.operation is Operation.APPROVE and is_own:",
        without="if False:",
        tests="rollout story_people",
    ),
    Guard(
        name="nobody is known where the platform does not guard the app",
        file="adapters/identity_source.py",
        text="if known.is_platform_trusted:",
        without="if True:",
        tests="identity",
    ),
    Guard(
        name="a token that was brought decides alone",
        file="adapters/identity_source.py",
        text='if known.tokens is not None and scheme.lower() == "bearer":',
        without="if known.tokens is not None and not known.is_platform_trusted:",
        tests="identity",
    ),
    Guard(
        name="no token chooses its algorithm",
        file="adapters/identity_token.py",
        text='if header.get("alg") != _ALGORITHM:',
        without="if False:",
        tests="identity_token",
    ),
    Guard(
        name="a token is of our tenant",
        file="adapters/identity_token.py",
        text='if claims.get("tid") != tokens.tenant:',
        without="if False:",
        tests="identity_token",
    ),
    Guard(
        name="an ID token is no access token",
        file="adapters/identity_token.py",
        text='if not any(isinstance(claims.get(key), str) for key in ("azp", "appid")):',
        without="if False:",
        tests="identity_token",
    ),
    Guard(
        name="a key of another issuer in the set does not count",
        file="adapters/identity_keys.py",
        text='one.get("use", "sig") == "sig" and named == issuer',
        without='one.get("use", "sig") == "sig"',
        tests="identity_keys",
    ),
    Guard(
        name="unknown keys are not asked for again and again",
        file="adapters/identity_keys.py",
        text="if now - seen.tried < (_REST_AFTER_FAILURE if seen.why else _REST):",
        without="if False:",
        tests="identity_keys",
    ),
    Guard(
        name="keys do not count for ever",
        file="adapters/identity_keys.py",
        text="is_usable = self._clock() - seen.fetched < _USABLE",
        without="is_usable = True",
        tests="identity_keys",
    ),
)

GATES = (
    Guard(
        name="a watch that never passed has not passed",
        file="gate/tally.py",
        text="return Verdict.PASS if knows and self.passes > 0 else Verdict.INCONCLUSIVE",
        without="return Verdict.PASS",
        tests="gate_tally story_gates",
    ),
    Guard(
        name="a bake does not end while it cannot be said",
        file="story/baking.py",
        text="if question is None and not undecided:",
        without="if question is None:",
        tests="story_gates",
    ),
    Guard(
        name="too few samples are inconclusive",
        file="gate/metric.py",
        text="if reading.samples < watch.min_samples:",
        without="if False:",
        tests="gate_metric",
    ),
    Guard(
        name="no data are inconclusive",
        file="gate/metric.py",
        text="    if not reading.is_there:\n",
        without="    if False:\n",
        tests="gate_metric",
    ),
    Guard(
        name="a rate is judged by its Wilson bounds",
        file="gate/metric.py",
        text="low, high = bound_rate(hits, reading.samples)",
        without="low = high = value",
        tests="gate_metric",
    ),
    Guard(
        name="the error budget of a bake",
        file="gate/tally.py",
        text="if self.errors_in_a_row > watch.error_budget:",
        without="if False:",
        tests="gate_tally story_gates",
    ),
    Guard(
        name="the error budget of a gate that is asked once",
        file="story/gating.py",
        text="while judged.verdict is Verdict.ERROR and errors < step.error_budget:",
        without="while judged.verdict is Verdict.ERROR and errors < 1000:",
        tests="orchestrator",
    ),
    Guard(
        name="one bad answer outweighs all good ones",
        file="gate/gate.py",
        text="worst=judged if is_worse else self.worst,",
        without="worst=judged,",
        tests="gate",
    ),
    Guard(
        name="nothing but a name enters a query",
        file="activities/gate.py",
        text="if _HARMLESS.fullmatch(value) is None:",
        without="if False:",
        tests="activities_gate",
    ),
    Guard(
        name="no service in a private network is asked",
        file="adapters/webhook.py",
        text="if bad is not None:",
        without="if False:",
        tests="webhook",
    ),
)

OFFERS = (
    Guard(
        name="what is in flight is a duplicate",
        file="ledger/answer.py",
        text="same = find_in_flight(ledger, asked)",
        without="same = None",
        tests="ledger",
    ),
    Guard(
        name="what was rolled out is a duplicate",
        file="ledger/answer.py",
        text="if past is not None and not past.released:",
        without="if False:",
        tests="ledger",
    ),
    Guard(
        name="an older version does not overtake",
        file="ledger/answer.py",
        text="return (Reply.OLDER, older) if older else None",
        without="return None",
        tests="ledger",
    ),
    Guard(
        name="a failed version is in quarantine",
        file="ledger/answer.py",
        text="if past is not None and past.is_quarantined:",
        without="if False:",
        tests="ledger ledger_operation",
    ),
    Guard(
        name="a held endpoint starts nothing",
        file="ledger/answer.py",
        text="if ledger.held is not None and not asked.requested_by:",
        without="if False:",
        tests="ledger ledger_operation",
    ),
    Guard(
        name="the stop switch",
        file="ledger/answer.py",
        text="    if ledger.stopped is not None:\n",
        without="    if False:\n",
        tests="ledger ledger_operation",
    ),
    Guard(
        name="whoever is superseded is told",
        file="ledger/ledger.py",
        text="is_stopping=True), actions=(tell,))",
        without="is_stopping=True))",
        tests="ledger orchestrator",
    ),
    Guard(
        name="an end told twice is one",
        file="ledger/ledger.py",
        text="if offered is None or offered.rollout_id != ended.rollout_id:",
        without="if offered is None:",
        tests="ledger",
    ),
    Guard(
        name="a closed window starts nothing",
        file="ledger/ledger.py",
        text="    if opens is None or opens > at:\n",
        without="    if opens is None:\n",
        tests="ledger_time",
    ),
    Guard(
        name="a revert waits until nothing runs",
        file="ledger/operation.py",
        text="Act.REVERT: (_needs_rest, _needs_a_way_back),",
        without="Act.REVERT: (_needs_a_way_back,),",
        tests="ledger_operation",
    ),
    Guard(
        name="a revert holds the endpoint",
        file="ledger/operation.py",
        text="    ledger = replace(ledger, held=mark)\n",
        without="",
        tests="ledger_operation",
    ),
)

PLANS = (
    Guard(
        name="tags are read back",
        file="plan/plan.py",
        text="refusal = parse_tag_rule(wanted).refuses(model.tags.get(key))",
        without='refusal = ""',
        tests="plan",
    ),
    Guard(
        name="an archived version is not rolled out",
        file="plan/plan.py",
        text="if model.is_archived:",
        without="if False:",
        tests="plan",
    ),
    Guard(
        name="a newer version that is registered overtakes",
        file="plan/plan.py",
        text=" or _refuse_newer(offer, policy, model, sight)\n",
        without="\n",
        tests="plan orchestrator",
    ),
    Guard(
        name="what serves is not rolled out again",
        file="plan/plan.py",
        text="if served.lower() == model.version.lower():",
        without="if False:",
        tests="plan",
    ),
    Guard(
        name="split weights are refused",
        file="plan/plan.py",
        text="    if len(weighted) > 1:\n",
        without="    if False:\n",
        tests="plan",
    ),
    Guard(
        name="Azure allows 20 deployments",
        file="plan/plan.py",
        text="if len(snapshot.deployments) >= _MOST_DEPLOYMENTS:",
        without="if False:",
        tests="plan",
    ),
    Guard(
        name="no two policies for one version and endpoint",
        file="policy/overlap.py",
        text="return sorted(found)",
        without="return []",
        tests="policy_overlap",
    ),
    Guard(
        name="subject and data of an event agree",
        file="event.py",
        text="if said and ((name and",
        without="if False and ((name and",
        tests="event",
    ),
    Guard(
        name="an event of a foreign workspace is ignored",
        file="event.py",
        text="if not _is_ours(workspace, workspaces):",
        without="if False:",
        tests="event",
    ),
)

DOOR = (
    Guard(
        name="a route demands its right",
        file="api/door.py",
        text="visit.who.require(route.right)",
        without="pass",
        tests="api",
    ),
    Guard(
        name="a route demands somebody",
        file="api/door.py",
        text="visit = replace(visit, visitor=office.identify(visit.headers))",
        without="pass",
        tests="api",
    ),
    Guard(
        name="promoting now demands its own right",
        file="api/asking.py",
        text="who.require(Right.PROMOTE_NOW)",
        without="pass",
        tests="api",
    ),
    Guard(
        name="a body that a form could send is not read",
        file="api/door.py",
        text="        _refuse_kind(visit)\n",
        without="        pass\n",
        tests="api",
    ),
    Guard(
        name="a dashboard file is one of the folder",
        file="api/page.py",
        text="path = names.get(name)",
        without="path = folder / name",
        tests="api",
    ),
    Guard(
        name="what is no rollout id is not looked up",
        file="operations/history.py",
        text="engine.show_rollout(rollout_id) if _is_id(rollout_id) else None",
        without="engine.show_rollout(rollout_id)",
        tests="history",
    ),
)

ANNOUNCEMENTS = (
    Guard(
        name="what only looks public is private",
        file="address.py",
        text="is_special = address.is_multicast or address == _PLATFORM or address in _RELAYS",
        without="is_special = False",
        tests="address",
    ),
    Guard(
        name="a token for Event Grid goes to Event Grid only",
        file="announcement/channel.py",
        text=" or not (is_ours or place[0].lower().endswith(_TOPIC_HOSTS)):",
        without=":",
        tests="announcement_channel",
    ),
    Guard(
        name="a chat has a public host",
        file="announcement/channel.py",
        text="if not is_named and not is_public_host(place[0]):",
        without="if False:",
        tests="announcement_channel",
    ),
    Guard(
        name="a template has known names only",
        file="announcement/wording.py",
        text="if name is not None and (name not in PLACEHOLDERS or form or conversion):",
        without="if False:",
        tests="announcement_wording announcement_channel",
    ),
    Guard(
        name="nobody is called by other people's words",
        file="announcement/card.py",
        text='"text": _escape(title),',
        without='"text": title,',
        tests="announcement_wording",
    ),
    Guard(
        name="a refusal that repeats the secret is not quoted",
        file="activities/announce.py",
        text="if body.strip() and not is_told else",
        without="if body.strip() else",
        tests="activities_announce",
    ),
    Guard(
        name="no message goes to an address that is a reference",
        file="activities/announce.py",
        text="    if not chat.is_resolved:",
        without="    if False:",
        tests="activities_announce",
    ),
)

HISTORY = (
    Guard(
        name="what is forgotten was archived",
        file="operations/purge.py",
        text="                archive.append(list_all_rows(shown))\n",
        without="                pass\n",
        tests="purge",
    ),
    Guard(
        name="only new lines are posted",
        file="story/diary.py",
        text="first, self._posted = self._posted, written",
        without="first, self._posted = 0, written",
        tests="outbox",
    ),
    Guard(
        name="the last lines are posted",
        file="story/orchestrator.py",
        text="    diary.post()\n",
        without="",
        tests="outbox",
    ),
)

SECRETS = (
    Guard(
        name="what looks like a secret is in no line",
        file="telemetry/line.py",
        text="text = pattern.sub(instead, text)",
        without="pass",
        tests="log_line telemetry",
    ),
    Guard(
        name="no value ends its line",
        file="telemetry/line.py",
        text="return _quote(value) if isinstance(value, str) else json.dumps(value)",
        without="return f'\"{value}\"'",
        tests="log_line",
    ),
)

GUARDS = (
    *WEIGHTS,
    *WAITS,
    *PEOPLE,
    *GATES,
    *OFFERS,
    *PLANS,
    *DOOR,
    *ANNOUNCEMENTS,
    *HISTORY,
    *SECRETS,
)
