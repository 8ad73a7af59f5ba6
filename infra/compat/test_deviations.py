"""Where our store differs from the reference's on purpose."""

import asyncio

import httpx
import pytest
from agentlightning import LightningStoreClient
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValueList
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from samples import span, span_json
from test_otlp import otlp, pairs, placed, request, send  # noqa: F401

pytestmark = [pytest.mark.anyio, pytest.mark.ours]


async def test_an_unknown_rollout_is_null(store, http):
    answer = await http.get("/rollouts/ro-unknown")
    assert (answer.status_code, answer.text) == (200, "null")
    assert answer.headers["content-type"].startswith("application/json")
    assert await store.get_rollout_by_id("ro-unknown") is None


async def dead(answer, text):
    answer = await answer
    assert answer.status_code == 404, answer.text
    body = answer.json()
    assert body["error_type"] == "ValueError"
    assert text in answer.text


async def test_writes_to_dead_ids_are_404_with_the_error_of_the_reference(store, http):
    await dead(http.post("/rollouts/ro-x", json={"mode": "train"}), "ro-x")
    await dead(http.post("/rollouts/ro-x/attempts", json={}), "Rollout ro-x not found")
    await dead(http.post("/rollouts/ro-x/attempts/latest", json={"metadata": {}}), "Rollout ro-x not found")
    await dead(http.post("/spans", json=span_json("ro-x", "at-x")), "Rollout ro-x not found")
    waiting = await store.enqueue_rollout("task")
    path = f"/rollouts/{waiting.rollout_id}/attempts"
    text = f"No attempts found for rollout {waiting.rollout_id}"
    await dead(http.post(f"{path}/latest", json={"status": "failed"}), text)
    started = await store.start_rollout("task")
    path = f"/rollouts/{started.rollout_id}/attempts/at-x"
    text = f"Attempt at-x not found for rollout {started.rollout_id}"
    await dead(http.post(path, json={"status": "failed"}), text)
    await dead(http.post("/spans", json=span_json(started.rollout_id, "at-x")), text)


async def test_a_client_with_its_retries_does_not_stall_on_a_dead_id(address):
    client = LightningStoreClient(address)
    before = asyncio.get_running_loop().time()
    with pytest.raises(Exception) as raised:
        await client.add_span(span("ro-x", "at-x"))
    assert raised.value.status == 404
    assert asyncio.get_running_loop().time() - before < 0.9
    await client.close()


async def test_lone_surrogates_are_refused_and_named(http):
    body = '{"rollouts":[{"input":{"text":"\\ud83d"}}]}'
    answer = await http.post(
        "/queues/rollouts/enqueue", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:4] == ["body", "rollouts", 0, "input"]
    assert (await http.get("/rollouts")).json()["total"] == 0


async def test_a_cancelled_rollout_stays_cancelled_on_a_bare_heartbeat(store):
    taken = await store.start_rollout("task")
    await store.update_rollout(taken.rollout_id, status="cancelled")
    await store.update_attempt(taken.rollout_id, "latest", last_heartbeat_time=1.0)
    assert (await store.get_rollout_by_id(taken.rollout_id)).status == "cancelled"


async def test_a_repeated_post_with_one_idempotency_key_applies_once(store, http):
    key = {"idempotency-key": "the same"}
    body = {"rollouts": [{"input": 1}, {"input": 2}]}
    first, second = [await http.post("/queues/rollouts/enqueue", json=body, headers=key) for _ in range(2)]
    assert first.json() == second.json()
    assert len(await store.query_rollouts()) == 2
    key = {"idempotency-key": "another"}
    first, second = [await http.post("/queues/rollouts/dequeue", json={}, headers=key) for _ in range(2)]
    assert first.json() == second.json() and len(first.json()) == 1
    path = f"/rollouts/{first.json()[0]['rollout_id']}/attempts"
    for _ in range(2):
        started = await http.post(path, json={}, headers={"idempotency-key": "attempt"})
        assert started.json()["attempt"]["sequence_id"] == 2
    pair = {"rollout_id": first.json()[0]["rollout_id"], "attempt_id": "x"}
    numbers = [await http.post("/spans/next", json=pair, headers={"idempotency-key": "n"}) for _ in range(2)]
    assert [answer.json()["sequence_id"] for answer in numbers] == [1, 1]


async def test_unsortable_fields_are_a_400(store, http):
    for n in range(2):
        await store.enqueue_rollout({"n": n})
    for field in ("input", "config", "metadata"):
        assert (await http.get("/rollouts", params={"sort_by": field})).status_code == 400, field


async def test_spans_that_cannot_be_placed_are_told_and_the_others_kept(store, send):  # noqa: F811
    """The package's own server drops the ones without ids silently."""
    taken = await store.start_rollout("task")
    mine = placed(taken)
    answer = await send(request([], otlp(1, mine), otlp(2), otlp(3, mine)))
    assert answer.status_code == 200
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert told.rejected_spans == 1 and "rollout_id" in told.error_message
    assert [item.name for item in await store.query_spans(taken.rollout_id)] == ["span 1", "span 3"]


async def test_an_unknown_rollout_in_an_export_does_not_harm_the_others(store, send):  # noqa: F811
    """The package's own server answers 500 and keeps what came before."""
    taken = await store.start_rollout("task")
    elsewhere = pairs(agentlightning__rollout_id="ro-x", agentlightning__attempt_id="at-x")
    answer = await send(request(placed(taken), otlp(1), otlp(2, elsewhere), otlp(3)))
    assert answer.status_code == 200
    assert [item.name for item in await store.query_spans(taken.rollout_id)] == ["span 1", "span 3"]


async def test_nested_values_of_otlp_do_not_keep_the_client_from_reading(store, send):  # noqa: F811
    """The package's own server answers such an export with 500 and loses it."""
    taken = await store.start_rollout("task")
    mixed = AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="a"), AnyValue(int_value=2)]))
    nested = AnyValue(kvlist_value=KeyValueList(values=pairs(inner=1)))
    sent = otlp(1, pairs(plain="x", mixed=mixed, nested=nested, empty=AnyValue()))
    assert (await send(request(placed(taken), sent))).status_code == 200
    (found,) = await store.query_spans(taken.rollout_id)
    assert found.attributes["plain"] == "x"


async def test_otlp_as_json_is_taken(store, address):
    taken = await store.start_rollout("task")
    ids = {"rollout_id": taken.rollout_id, "attempt_id": taken.attempt.attempt_id}
    attributes = [
        {"key": f"agentlightning.{key}", "value": {"stringValue": value}} for key, value in ids.items()
    ]
    sent = {"traceId": "07" * 16, "spanId": "01" * 8, "name": "json", "attributes": attributes}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [sent]}]}]}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{address}/v1/traces", json=body)
    assert answer.status_code == 200
    assert [item.name for item in await store.query_spans(taken.rollout_id)] == ["json"]


async def test_broken_gzip_is_a_400(send):  # noqa: F811
    answer = await send(b"no gzip", {"content-type": "application/x-protobuf", "content-encoding": "gzip"})
    assert answer.status_code == 400
