"""Resources with their versions, and what the store knows about workers."""

import asyncio
import re

import pytest
from agentlightning.types import LLM, PromptTemplate, ProxyLLM

from samples import span

pytestmark = pytest.mark.anyio


def llm(model="m"):
    return LLM(endpoint="http://e", model=model, sampling_parameters={"temperature": 0.7, "top": 1.0})


async def test_resources_come_back_as_they_were_sent(store, http):
    assert await store.get_latest_resources() is None
    sent = {
        "main": llm(),
        "proxy": ProxyLLM(endpoint="http://p", model="q", api_key="k"),
        "prompt": PromptTemplate(template="{x}", engine="f-string"),
    }
    added = await store.add_resources(sent)
    assert re.fullmatch(r"rs-[0-9a-f]{12}", added.resources_id)
    assert (added.version, added.create_time, added.resources) == (1, added.update_time, sent)
    assert await store.get_latest_resources() == added
    assert await store.get_resources_by_id(added.resources_id) == added
    answer = await http.get(f"/resources/{added.resources_id}")
    assert answer.json()["resources"]["main"] == {
        "resource_type": "llm",
        "endpoint": "http://e",
        "model": "m",
        "api_key": None,
        "sampling_parameters": {"temperature": 0.7, "top": 1.0},
    }
    assert '"top":1.0' in answer.text.replace(" ", "")
    unknown = await http.get("/resources/rs-unknown")
    assert (unknown.status_code, unknown.text) == (200, "null")
    empty = await http.post("/resources", json={})
    assert (empty.status_code, empty.json()["resources"]) == (201, {})


async def test_an_update_counts_versions_and_keeps_the_time_of_creation(store, http):
    first = await store.update_resources("mine", {"a": llm()})
    assert (first.resources_id, first.version) == ("mine", 1)
    other = await store.add_resources({})
    await asyncio.sleep(0.01)
    second = await store.update_resources("mine", {"b": llm("n")})
    assert (second.version, second.create_time) == (2, first.create_time)
    assert second.update_time > first.update_time
    assert list(second.resources) == ["b"]
    assert (await store.get_latest_resources()).resources_id == "mine"
    found = await store.query_resources(sort_by="create_time")
    assert [item.resources_id for item in found] == ["mine", other.resources_id]
    assert (await http.post("/resources/mine", json={})).status_code == 200


async def test_resources_by_id_and_part_of_it(store):
    for name in ("alpha-1", "alpha-2", "beta"):
        await store.update_resources(name, {})
    assert len(await store.query_resources()) == 3
    assert [item.resources_id for item in await store.query_resources(resources_id="beta")] == ["beta"]
    page = await store.query_resources(resources_id_contains="alpha", limit=1, sort_by="resources_id", sort_order="desc")
    assert ([item.resources_id for item in page], page.total) == (["alpha-2"], 2)


async def test_a_task_takes_the_latest_resources_unless_it_names_some(store):
    assert (await store.enqueue_rollout("task")).resources_id is None
    first = await store.add_resources({})
    assert (await store.enqueue_rollout("task")).resources_id == first.resources_id
    second = await store.add_resources({})
    assert (await store.start_rollout("task")).resources_id == second.resources_id
    assert (await store.enqueue_rollout("task", resources_id="rs-unknown")).resources_id == "rs-unknown"


async def test_an_unknown_kind_of_resource_is_refused(http):
    answer = await http.post("/resources", json={"x": {"resource_type": "bogus"}})
    assert answer.status_code == 422
    answer = await http.post("/resources", json={"x": {"resource_type": "llm", "model": "m"}})
    assert answer.status_code == 422
    extra = {"resource_type": "llm", "model": "m", "endpoint": "e", "surprise": 1}
    answer = await http.post("/resources", json={"x": extra})
    assert answer.status_code == 201 and "surprise" not in answer.json()["resources"]["x"]


async def test_a_worker_is_known_by_its_heartbeat(store, http):
    assert await store.get_worker_by_id("w") is None
    bare = {"content-type": "application/octet-stream", "content-length": "0"}
    answer = await http.post("/workers/w", headers=bare)
    assert answer.status_code == 200
    worker = answer.json()
    assert worker.pop("last_heartbeat_time") > 0
    assert worker == {
        "worker_id": "w",
        "status": "unknown",
        "heartbeat_stats": None,
        "last_dequeue_time": None,
        "last_busy_time": None,
        "last_idle_time": None,
        "current_rollout_id": None,
        "current_attempt_id": None,
    }
    assert (await store.update_worker("w", {"cpu": 0.5})).heartbeat_stats == {"cpu": 0.5}
    assert (await store.update_worker("w")).heartbeat_stats == {"cpu": 0.5}
    refused = await http.post("/workers/other", json={"heartbeat_stats": None})
    assert refused.status_code == 400
    assert refused.json() == {"detail": "heartbeat_stats is invalid; it cannot be a null value."}
    assert await store.get_worker_by_id("other") is None


async def test_a_worker_follows_its_attempts(store):
    await store.enqueue_rollout("task")
    taken = await store.dequeue_rollout(worker_id="w")
    busy = await store.get_worker_by_id("w")
    assert (busy.status, busy.current_rollout_id) == ("busy", taken.rollout_id)
    assert busy.current_attempt_id == taken.attempt.attempt_id
    assert busy.last_dequeue_time is not None and busy.last_busy_time is not None
    await store.add_span(span(taken.rollout_id, taken.attempt.attempt_id))
    await store.update_worker("w", {"gpu": [1]})
    await store.update_attempt(taken.rollout_id, "latest", status="succeeded")
    idle = await store.get_worker_by_id("w")
    assert (idle.status, idle.current_rollout_id, idle.current_attempt_id) == ("idle", None, None)
    assert idle.last_idle_time is not None and idle.heartbeat_stats == {"gpu": [1]}
    assert idle.last_busy_time == busy.last_busy_time


async def test_a_lost_attempt_leaves_its_worker_unknown(store):
    taken = await store.start_rollout("task", worker_id="w")
    assert (await store.get_worker_by_id("w")).status == "busy"
    await store.update_attempt(taken.rollout_id, "latest", status="timeout")
    lost = await store.get_worker_by_id("w")
    assert (lost.status, lost.current_rollout_id) == ("unknown", None)
    assert lost.last_idle_time is not None


async def test_a_worker_that_found_nothing_is_idle(store):
    await store.dequeue_rollout(worker_id="w")
    idle = await store.get_worker_by_id("w")
    assert idle.status == "idle"
    assert idle.last_idle_time is not None and idle.last_dequeue_time is not None
    await store.dequeue_rollout(worker_id="w")
    again = await store.get_worker_by_id("w")
    assert again.last_idle_time == idle.last_idle_time
    assert again.last_dequeue_time > idle.last_dequeue_time


async def test_of_many_rollouts_the_worker_points_at_the_last(store):
    for n in range(3):
        await store.enqueue_rollout(n)
    taken = await store.dequeue_many_rollouts(limit=3, worker_id="w")
    assert (await store.get_worker_by_id("w")).current_rollout_id == taken[-1].rollout_id


async def test_an_attempt_can_be_given_to_a_worker(store):
    taken = await store.start_rollout("task")
    await store.update_attempt(taken.rollout_id, "latest", worker_id="late", status="running")
    worker = await store.get_worker_by_id("late")
    assert (worker.status, worker.current_attempt_id) == ("busy", taken.attempt.attempt_id)
    await store.update_attempt(taken.rollout_id, "latest", worker_id="")
    assert len(await store.query_workers()) == 1


async def test_workers_by_status_and_part_of_their_id(store):
    await store.start_rollout("task", worker_id="alpha-1")
    await store.dequeue_rollout(worker_id="alpha-2")
    await store.update_worker("beta")

    async def found(**filters):
        return {worker.worker_id for worker in await store.query_workers(**filters)}

    assert await found() == {"alpha-1", "alpha-2", "beta"}
    assert await found(status_in=["busy"]) == {"alpha-1"}
    assert await found(status_in=["idle", "unknown"]) == {"alpha-2", "beta"}
    assert await found(worker_id_contains="alpha", status_in=["idle"]) == {"alpha-2"}
    either = await found(worker_id_contains="beta", status_in=["idle"], filter_logic="or")
    assert either == {"alpha-2", "beta"}
    by_id = await store.query_workers(sort_by="worker_id", sort_order="desc")
    assert [worker.worker_id for worker in by_id] == ["beta", "alpha-2", "alpha-1"]
