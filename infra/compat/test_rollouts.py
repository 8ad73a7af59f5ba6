"""Enqueue, dequeue, start, attempts, wait: every such method of the package's client."""

import asyncio
import re
import time

import pytest
from agentlightning import EnqueueRolloutRequest, RolloutConfig
from agentlightning.types import AttemptedRollout

pytestmark = pytest.mark.anyio


async def test_an_enqueued_rollout_has_every_field(http):
    before = time.time()
    answer = await http.post("/queues/rollouts/enqueue", json={"rollouts": [{"input": {"q": 1}}]})
    assert answer.status_code == 201
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    (rollout,) = answer.json()
    assert re.fullmatch(r"ro-[0-9a-f]{12}", rollout.pop("rollout_id"))
    assert before - 1 <= rollout.pop("start_time") <= time.time() + 1
    assert rollout == {
        "input": {"q": 1},
        "end_time": None,
        "mode": None,
        "resources_id": None,
        "status": "queuing",
        "config": {
            "timeout_seconds": None,
            "unresponsive_seconds": None,
            "max_attempts": 1,
            "retry_condition": [],
        },
        "metadata": {},
    }


async def test_what_was_enqueued_is_given_out_once_and_in_order(store):
    config = RolloutConfig(timeout_seconds=60, max_attempts=3, retry_condition=["failed", "timeout"])
    first = await store.enqueue_rollout({"n": 0}, mode="val", config=config, metadata={"a": [1]})
    many = await store.enqueue_many_rollouts(
        [EnqueueRolloutRequest(input={"n": n}, mode="train") for n in range(1, 6)]
    )
    ids = [first.rollout_id, *(rollout.rollout_id for rollout in many)]
    assert [rollout.input for rollout in many] == [{"n": n} for n in range(1, 6)]
    assert (first.mode, first.config, first.metadata) == ("val", config, {"a": [1]})

    taken = await store.dequeue_rollout(worker_id="w-1")
    assert isinstance(taken, AttemptedRollout)
    assert (taken.rollout_id, taken.status) == (ids[0], "preparing")
    assert taken.attempt.sequence_id == 1
    assert (taken.attempt.status, taken.attempt.worker_id) == ("preparing", "w-1")
    assert taken.attempt.rollout_id == taken.rollout_id
    assert re.fullmatch(r"at-[0-9a-f]{8,}", taken.attempt.attempt_id)
    assert taken.attempt.last_heartbeat_time is None and taken.attempt.metadata is None

    rest = await store.dequeue_many_rollouts(limit=3, worker_id="w-2")
    assert [rollout.rollout_id for rollout in rest] == ids[1:4]
    rest = await store.dequeue_many_rollouts(limit=9)
    assert [rollout.rollout_id for rollout in rest] == ids[4:]
    assert await store.dequeue_rollout() is None
    assert list(await store.dequeue_many_rollouts(limit=2)) == []


async def test_thirty_at_once_share_twenty_rollouts(store):
    many = await store.enqueue_many_rollouts([EnqueueRolloutRequest(input=n) for n in range(20)])
    taken = await asyncio.gather(*(store.dequeue_rollout(worker_id=f"w-{n}") for n in range(30)))
    given = [rollout.rollout_id for rollout in taken if rollout is not None]
    assert sorted(given) == sorted(rollout.rollout_id for rollout in many)


async def test_dequeue_takes_no_body_null_and_a_limit_of_zero(http):
    await http.post("/queues/rollouts/enqueue", json={"rollouts": [{"input": n} for n in range(3)]})
    for limit in (0, -1):
        nothing = await http.post("/queues/rollouts/dequeue", json={"limit": limit})
        assert (nothing.status_code, nothing.json()) == (200, [])
    bare = {"content-type": "application/octet-stream", "content-length": "0"}
    assert len((await http.post("/queues/rollouts/dequeue", headers=bare)).json()) == 1
    null = {"content-type": "application/json"}
    assert len((await http.post("/queues/rollouts/dequeue", content="null", headers=null)).json()) == 1
    assert len((await http.post("/queues/rollouts/dequeue", json={})).json()) == 1
    assert (await http.post("/queues/rollouts/dequeue", json={})).json() == []


async def test_enqueue_takes_an_empty_list(http):
    answer = await http.post("/queues/rollouts/enqueue", json={"rollouts": []})
    assert (answer.status_code, answer.json()) == (201, [])


async def test_a_started_rollout_does_not_pass_through_the_queue(store, http):
    started = await store.start_rollout(
        "task", mode="test", metadata={"k": "v"}, worker_id="w", config=RolloutConfig(max_attempts=2)
    )
    assert (started.status, started.attempt.status) == ("preparing", "preparing")
    assert (started.attempt.worker_id, started.config.max_attempts) == ("w", 2)
    assert await store.dequeue_rollout() is None
    answer = await http.post("/rollouts", json={"input": None})
    assert answer.status_code == 201
    assert answer.json()["input"] is None and answer.json()["attempt"]["sequence_id"] == 1


async def test_the_attempt_key_is_there_only_with_an_attempt(store, http):
    rollout = await store.enqueue_rollout("task")
    body = (await http.get(f"/rollouts/{rollout.rollout_id}")).json()
    assert "attempt" not in body
    assert not isinstance(await store.get_rollout_by_id(rollout.rollout_id), AttemptedRollout)
    taken = await store.dequeue_rollout()
    found = await store.get_rollout_by_id(rollout.rollout_id)
    assert isinstance(found, AttemptedRollout) and found.attempt == taken.attempt
    updated = (await http.post(f"/rollouts/{rollout.rollout_id}", json={})).json()
    assert "attempt" not in updated


async def test_attempts_are_numbered_listed_and_latest_is_the_last(store, http):
    rollout = await store.enqueue_rollout("task")
    assert await store.get_latest_attempt(rollout.rollout_id) is None
    path = f"/rollouts/{rollout.rollout_id}/attempts"
    bare = {"content-type": "application/octet-stream", "content-length": "0"}
    first = await http.post(path, headers=bare)
    assert first.status_code == 201
    second = await store.start_attempt(rollout.rollout_id, worker_id="w")
    assert (second.attempt.sequence_id, second.status) == (2, "preparing")
    assert (await store.get_latest_attempt(rollout.rollout_id)) == second.attempt
    listed = await store.query_attempts(rollout.rollout_id)
    assert [attempt.sequence_id for attempt in listed] == [1, 2]
    assert await store.dequeue_rollout() is None
    got = await http.get(path, params={"sort_by": "sequence_id", "sort_order": "desc", "limit": 1})
    assert [item["sequence_id"] for item in got.json()["items"]] == [2]
    assert (got.json()["total"], got.json()["limit"], got.json()["offset"]) == (2, 1, 0)


async def test_waiting_returns_the_finished_ones_in_the_asked_order(store, http):
    a, b, c = [await store.start_rollout(n) for n in range(3)]
    for rollout in (b, a):
        await store.update_attempt(rollout.rollout_id, "latest", status="succeeded")
    asked = [c.rollout_id, a.rollout_id, "ro-unknown", b.rollout_id, a.rollout_id]
    done = await store.wait_for_rollouts(rollout_ids=asked, timeout=0)
    assert [rollout.rollout_id for rollout in done] == [a.rollout_id, b.rollout_id, a.rollout_id]
    answer = await http.post("/waits/rollouts", json={"rollout_ids": asked, "timeout": 0.1})
    assert answer.status_code == 200 and all("attempt" not in item for item in answer.json())


async def test_waiting_is_as_quick_as_the_package_asks(store):
    rollout = await store.start_rollout("task")

    async def timed(ids, timeout):
        before = time.monotonic()
        done = await store.wait_for_rollouts(rollout_ids=ids, timeout=timeout)
        return len(done), time.monotonic() - before

    await timed(["ro-unknown"], 0)
    count, seconds = await timed(["ro-unknown"], 0.1)
    assert count == 0 and seconds < 0.5
    waiters = [asyncio.create_task(timed([rollout.rollout_id], None)) for _ in range(3)]
    await asyncio.sleep(0.3)
    ended = time.monotonic()
    await store.update_rollout(rollout.rollout_id, status="cancelled")
    assert [count for count, _ in await asyncio.gather(*waiters)] == [1, 1, 1]
    assert time.monotonic() - ended < 1
    count, seconds = await timed([rollout.rollout_id], 0.1)
    assert count == 1 and seconds < 0.1


async def test_the_client_refuses_long_waits_by_itself(store):
    with pytest.raises(ValueError):
        await store.wait_for_rollouts(rollout_ids=[], timeout=1)


async def test_statistics_count_exactly_and_at_once(store):
    before = await store.statistics()
    assert before["total_rollouts"] == 0
    rollout = await store.enqueue_rollout("task")
    await store.enqueue_rollout("task")
    await store.dequeue_rollout(worker_id="w")
    await store.start_attempt(rollout.rollout_id)
    await store.add_resources({})
    found = await store.statistics()
    counted = {name: found[f"total_{name}"] for name in ("rollouts", "attempts", "spans", "resources", "workers")}
    assert counted == {"rollouts": 2, "attempts": 2, "spans": 0, "resources": 1, "workers": 1}
    assert isinstance(found["name"], str) and isinstance(found["uptime"], float)
    assert found["uptime"] > 0


async def test_health(http):
    answer = await http.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
