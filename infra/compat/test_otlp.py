"""OTLP over HTTP, as an exporter sends it."""

import gzip

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

pytestmark = pytest.mark.anyio

PROTOBUF = {"content-type": "application/x-protobuf"}


def pairs(**values):
    def value(raw):
        if isinstance(raw, AnyValue):
            return raw
        kind = {bool: "bool_value", int: "int_value", float: "double_value"}.get(type(raw), "string_value")
        return AnyValue(**{kind: raw})

    return [KeyValue(key=key.replace("__", "."), value=value(raw)) for key, raw in values.items()]


def placed(taken, **more):
    return pairs(
        agentlightning__rollout_id=taken.rollout_id,
        agentlightning__attempt_id=taken.attempt.attempt_id,
        **more,
    )


def otlp(number, attributes=(), **more):
    return Span(
        trace_id=bytes([7] * 16),
        span_id=number.to_bytes(8, "big"),
        name=f"span {number}",
        start_time_unix_nano=1_700_000_000_250_000_000,
        end_time_unix_nano=1_700_000_001_500_000_000,
        attributes=attributes,
        **more,
    )


def request(resource, *spans, schema_url=""):
    scope = ScopeSpans(spans=spans)
    of_resource = ResourceSpans(scope_spans=[scope], schema_url=schema_url)
    of_resource.resource.attributes.extend(resource)
    return ExportTraceServiceRequest(resource_spans=[of_resource])


@pytest.fixture
async def send(address):
    async with httpx.AsyncClient(base_url=address, timeout=20) as client:

        async def post(body, headers=PROTOBUF):
            content = body if isinstance(body, bytes) else body.SerializeToString()
            # httpx would ask for gzip by itself.
            return await client.post("/v1/traces", content=content, headers={"accept-encoding": "identity", **headers})

        yield post


async def test_an_export_is_stored_under_the_ids_of_its_resource(store, send):
    taken = await store.start_rollout("task")
    answer = await send(request(placed(taken, service__name="s"), otlp(1), otlp(2), schema_url="u"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
    ExportTraceServiceResponse.FromString(answer.content)
    assert answer.content == b""
    first, second = await store.query_spans(taken.rollout_id)
    assert (first.sequence_id, second.sequence_id) == (1, 2)
    assert (first.trace_id, first.span_id, first.parent_id) == ("07" * 16, f"{1:016x}", None)
    assert (first.name, first.start_time, first.end_time) == ("span 1", 1700000000.25, 1700000001.5)
    assert (first.status.status_code, first.status.description) == ("UNSET", None)
    assert first.parent is None
    assert (first.context.trace_id, first.context.span_id) == (first.trace_id, first.span_id)
    assert (first.context.is_remote, first.context.trace_state) == (False, {})
    assert first.resource.attributes["service.name"] == "s"
    assert first.resource.schema_url == "u"
    found = await store.get_rollout_by_id(taken.rollout_id)
    assert (found.status, found.attempt.status) == ("running", "running")


async def test_ids_of_the_span_come_before_those_of_the_resource(store, send):
    one, two = [await store.start_rollout(n) for n in range(2)]
    await send(request(placed(one), otlp(1, placed(two, agentlightning__span_sequence_id=9)), otlp(2)))
    (of_two,) = await store.query_spans(two.rollout_id)
    assert (of_two.sequence_id, of_two.span_id) == (9, f"{1:016x}")
    assert of_two.attributes["agentlightning.rollout_id"] == two.rollout_id
    assert [item.name for item in await store.query_spans(one.rollout_id)] == ["span 2"]
    assert await store.get_next_span_sequence_id(two.rollout_id, "") == 10


@pytest.mark.parametrize(("number", "expected"), [(5, 5), ("12", 12), ("x", 1), (-4, 1), ("", 1)])
async def test_a_number_is_taken_when_it_is_one(store, send, number, expected):
    taken = await store.start_rollout("task")
    await send(request(placed(taken), otlp(1, pairs(agentlightning__span_sequence_id=number))))
    assert [item.sequence_id for item in await store.query_spans(taken.rollout_id)] == [expected]


async def test_values_of_every_kind(store, http, send):
    taken = await store.start_rollout("task")
    listed = AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(int_value=2)]))
    raw = AnyValue(bytes_value=b"\x01\xff")
    attributes = pairs(s="x", b=True, i=2**53 + 1, f=0.5, raw=raw, l=listed)
    event = Span.Event(name="e", time_unix_nano=1_700_000_000_000_000_000, attributes=pairs(k=1))
    link = Span.Link(trace_id=bytes([9] * 16), span_id=bytes([8] * 8))
    sent = otlp(
        1,
        attributes,
        parent_span_id=bytes([5] * 8),
        events=[event],
        links=[link],
        status=Status(code=Status.STATUS_CODE_ERROR, message="why"),
    )
    answer = await send(request(placed(taken), sent))
    assert answer.status_code == 200, answer.text
    (found,) = (await http.post("/spans/search", json={"rollout_id": taken.rollout_id})).json()["items"]
    expected = {"s": "x", "b": True, "i": 2**53 + 1, "f": 0.5, "raw": "01ff", "l": [1, 2]}
    assert found["attributes"] == expected
    assert found["parent_id"] == "05" * 8
    assert found["status"] == {"status_code": "ERROR", "description": "why"}
    assert found["events"] == [{"name": "e", "attributes": {"k": 1}, "timestamp": 1700000000.0}]
    (linked,) = found["links"]
    assert (linked["context"]["trace_id"], linked["context"]["span_id"]) == ("09" * 16, "08" * 8)
    assert linked["attributes"] is None


async def test_a_repeated_export_stores_nothing_twice(store, send):
    taken = await store.start_rollout("task")
    for _ in range(2):
        assert (await send(request(placed(taken), otlp(1), otlp(2)))).status_code == 200
    assert len(await store.query_spans(taken.rollout_id)) == 2


async def test_spans_without_ids_are_no_error(store, send):
    answer = await send(request([], otlp(1)))
    assert answer.status_code == 200
    assert (await store.statistics())["total_spans"] == 0
    assert (await send(b"")).status_code == 200


async def test_gzip_is_read_and_answered_when_asked_for(store, send):
    taken = await store.start_rollout("task")
    body = gzip.compress(request(placed(taken), otlp(1)).SerializeToString())
    headers = {**PROTOBUF, "content-encoding": "gzip", "accept-encoding": "gzip"}
    answer = await send(body, headers)
    assert (answer.status_code, answer.headers["content-encoding"], answer.content) == (200, "gzip", b"")
    assert len(await store.query_spans(taken.rollout_id)) == 1


async def test_what_is_no_protobuf_is_refused(send):
    assert (await send(b"\xff\xff\xff\xff")).status_code == 400
    assert (await send(b"x", {"content-type": "text/plain"})).status_code == 400


async def test_other_signals_are_not_implemented(address):
    async with httpx.AsyncClient(base_url=address) as client:
        for path in ("metrics", "logs", "development/profiles"):
            answer = await client.post(f"/v1/{path}", content=b"", headers=PROTOBUF)
            assert (answer.status_code, answer.content) == (501, b""), path
