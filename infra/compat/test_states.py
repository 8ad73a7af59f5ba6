"""The state machines: attempts to rollout status, retries, the watchdog, late spans."""

import asyncio

import pytest
from agentlightning import RolloutConfig

from samples import span

pytestmark = pytest.mark.anyio


async def statuses(store, rollout):
    found = await store.get_rollout_by_id(rollout.rollout_id)
    attempts = await store.query_attempts(rollout.rollout_id)
    return found.status, [attempt.status for attempt in attempts]


async def end(store, rollout, status, attempt="latest"):
    return await store.update_attempt(rollout.rollout_id, attempt, status=status)


def taken_span(taken, number=1):
    return span(taken.rollout_id, taken.attempt.attempt_id, number)


@pytest.mark.parametrize("status", ["succeeded", "failed"])
async def test_a_final_status_of_the_attempt_ends_the_rollout(store, status):
    taken = await store.start_rollout("task")
    attempt = await end(store, taken, status)
    assert attempt.status == status and attempt.end_time is not None
    rollout = await store.get_rollout_by_id(taken.rollout_id)
    assert rollout.status == status and rollout.end_time >= attempt.end_time


@pytest.mark.parametrize("status", ["failed", "timeout", "unresponsive"])
async def test_a_status_to_retry_on_goes_back_to_the_queue_until_attempts_run_out(store, status):
    config = RolloutConfig(max_attempts=2, retry_condition=[status])
    rollout = await store.enqueue_rollout("task", config=config)
    await store.dequeue_rollout()
    await end(store, rollout, status)
    assert await statuses(store, rollout) == ("requeuing", [status])
    again = await store.dequeue_rollout()
    assert (again.rollout_id, again.attempt.sequence_id) == (rollout.rollout_id, 2)
    await end(store, rollout, status)
    assert await statuses(store, rollout) == ("failed", [status, status])
    assert await store.dequeue_rollout() is None


async def test_a_status_that_is_not_to_be_retried_fails(store):
    config = RolloutConfig(max_attempts=5, retry_condition=["timeout"])
    taken = await store.start_rollout("task", config=config)
    await end(store, taken, "failed")
    assert (await statuses(store, taken))[0] == "failed"


async def test_time_outs_and_silence_give_the_attempt_no_end(store):
    taken = await store.start_rollout("task")
    attempt = await end(store, taken, "timeout")
    assert attempt.end_time is None


async def test_an_older_attempt_never_moves_the_rollout(store):
    taken = await store.start_rollout("task")
    await store.start_attempt(taken.rollout_id)
    await end(store, taken, "succeeded", taken.attempt.attempt_id)
    assert await statuses(store, taken) == ("preparing", ["succeeded", "preparing"])


async def test_attempts_started_by_hand_ignore_max_attempts_and_final_statuses(store):
    taken = await store.start_rollout("task", config=RolloutConfig(max_attempts=1))
    await end(store, taken, "succeeded")
    ended = (await store.get_rollout_by_id(taken.rollout_id)).end_time
    again = await store.start_attempt(taken.rollout_id)
    assert (again.attempt.sequence_id, again.status) == (2, "preparing")
    assert (await store.get_rollout_by_id(taken.rollout_id)).end_time == ended


async def test_any_status_may_follow_any(store):
    taken = await store.start_rollout("task")
    for status in ("succeeded", "failed", "running", "preparing"):
        await end(store, taken, status)
        assert await statuses(store, taken) == (status, [status])


async def test_the_first_span_makes_attempt_and_rollout_run(store):
    taken = await store.start_rollout("task")
    await store.add_span(taken_span(taken))
    found = await store.get_rollout_by_id(taken.rollout_id)
    assert (found.status, found.attempt.status) == ("running", "running")
    assert found.attempt.last_heartbeat_time >= found.attempt.start_time


async def test_a_span_after_the_end_is_kept_and_changes_no_status(store):
    for status in ("succeeded", "failed", "timeout"):
        taken = await store.start_rollout("task")
        await end(store, taken, status)
        before = await statuses(store, taken)
        assert await store.add_span(taken_span(taken)) is not None
        assert await statuses(store, taken) == before
        latest = await store.get_latest_attempt(taken.rollout_id)
        assert latest.last_heartbeat_time is not None


async def test_a_duplicate_span_is_no_sign_of_life(store):
    taken = await store.start_rollout("task")
    await store.add_span(taken_span(taken))
    await end(store, taken, "unresponsive")
    assert await store.add_span(taken_span(taken)) is None
    assert (await statuses(store, taken))[1] == ["unresponsive"]


async def test_a_span_revives_what_was_requeued_and_takes_it_from_the_queue(store):
    config = RolloutConfig(max_attempts=3, retry_condition=["unresponsive"])
    taken = await store.start_rollout("task", config=config)
    await store.add_span(taken_span(taken, 1))
    await end(store, taken, "unresponsive")
    assert await statuses(store, taken) == ("requeuing", ["unresponsive"])
    await store.add_span(taken_span(taken, 2))
    assert await statuses(store, taken) == ("running", ["running"])
    assert await store.dequeue_rollout() is None
    await end(store, taken, "succeeded")
    assert await statuses(store, taken) == ("succeeded", ["succeeded"])


async def test_a_late_span_of_an_old_attempt_leaves_the_rollout_alone(store):
    config = RolloutConfig(max_attempts=3, retry_condition=["unresponsive"])
    taken = await store.start_rollout("task", config=config)
    await end(store, taken, "unresponsive")
    again = await store.dequeue_rollout()
    assert again.attempt.sequence_id == 2
    await store.add_span(taken_span(taken))
    assert await statuses(store, taken) == ("preparing", ["running", "preparing"])


async def test_a_span_does_not_promote_a_rollout_that_waits_in_the_queue(store):
    taken = await store.start_rollout("task")
    await store.update_rollout(taken.rollout_id, status="queuing")
    await store.add_span(taken_span(taken))
    assert await statuses(store, taken) == ("queuing", ["running"])
    assert (await store.dequeue_rollout()).rollout_id == taken.rollout_id


async def test_a_cancelled_rollout_is_skipped_by_the_queue(store):
    first, second = [await store.enqueue_rollout(n) for n in range(2)]
    cancelled = await store.update_rollout(first.rollout_id, status="cancelled")
    assert cancelled.status == "cancelled" and cancelled.end_time is not None
    assert (await store.dequeue_rollout()).rollout_id == second.rollout_id
    assert await store.dequeue_rollout() is None


async def test_a_rollout_set_to_queuing_goes_to_the_tail_once(store):
    first, second = [await store.enqueue_rollout(n) for n in range(2)]
    await store.dequeue_rollout()
    for status in ("queuing", "requeuing", "queuing"):
        await store.update_rollout(first.rollout_id, status=status)
    order = [(await store.dequeue_rollout()).rollout_id for _ in range(2)]
    assert order == [second.rollout_id, first.rollout_id]
    assert await store.dequeue_rollout() is None


async def test_a_limit_of_a_tenth_of_a_second_is_seen_soon_after(store):
    config = RolloutConfig(timeout_seconds=0.1, max_attempts=2, retry_condition=["timeout"])
    rollout = await store.enqueue_rollout("task", config=config)
    await store.dequeue_rollout()
    await asyncio.sleep(0.15)
    assert await statuses(store, rollout) == ("requeuing", ["timeout"])
    assert (await store.dequeue_rollout()).attempt.sequence_id == 2
    await asyncio.sleep(0.15)
    listed = await store.query_rollouts(status_in=["failed"])
    assert [found.rollout_id for found in listed] == [rollout.rollout_id]


async def test_silence_is_noticed_and_heartbeats_prevent_it(store):
    config = RolloutConfig(unresponsive_seconds=0.4)
    silent = await store.start_rollout("task", config=config)
    alive = await store.start_rollout("task", config=config)
    for number in range(1, 7):
        await asyncio.sleep(0.1)
        await store.add_span(taken_span(alive, number))
    assert await statuses(store, silent) == ("failed", ["unresponsive"])
    assert await statuses(store, alive) == ("running", ["running"])
    await asyncio.sleep(0.5)
    assert await statuses(store, alive) == ("failed", ["unresponsive"])


async def test_a_partial_update_leaves_what_it_does_not_name(store, http):
    config = RolloutConfig(max_attempts=4)
    rollout = await store.enqueue_rollout(
        {"a": 1}, mode="train", resources_id="r", config=config, metadata={"m": 1}
    )
    path = f"/rollouts/{rollout.rollout_id}"
    assert (await http.post(path, json={})).json() == rollout.model_dump()
    cleared = await store.update_rollout(rollout.rollout_id, mode=None, metadata=None)
    assert (cleared.mode, cleared.metadata, cleared.resources_id) == (None, None, "r")
    cleared = await store.update_rollout(rollout.rollout_id, input=None, resources_id=None)
    assert (cleared.input, cleared.resources_id, cleared.config) == (None, None, config)
    replaced = await store.update_rollout(
        rollout.rollout_id, config=RolloutConfig(timeout_seconds=5), metadata={"n": 2}
    )
    assert (replaced.config.max_attempts, replaced.metadata) == (1, {"n": 2})
    for field in ("status", "config"):
        answer = await http.post(path, json={field: None})
        assert answer.status_code == 400
        assert answer.json() == {"detail": f"{field} is invalid; it cannot be a null value."}


async def test_a_partial_update_of_an_attempt(store, http):
    taken = await store.start_rollout("task", worker_id="w")
    changed = await store.update_attempt(taken.rollout_id, "latest", worker_id="", metadata={})
    assert (changed.worker_id, changed.metadata, changed.status) == ("", {}, "preparing")
    changed = await store.update_attempt(
        taken.rollout_id, taken.attempt.attempt_id, last_heartbeat_time=1234.5, metadata={"a": [None]}
    )
    assert (changed.last_heartbeat_time, changed.metadata) == (1234.5, {"a": [None]})
    for field in ("status", "worker_id", "last_heartbeat_time", "metadata"):
        answer = await http.post(f"/rollouts/{taken.rollout_id}/attempts/latest", json={field: None})
        assert answer.status_code == 400
        assert answer.json() == {"detail": f"{field} is invalid; it cannot be a null value."}
