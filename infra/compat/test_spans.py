"""Spans as JSON, and the numbers that order them."""

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider

from samples import span, span_json

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ids(store):
    taken = await store.start_rollout("task")
    return taken.rollout_id, taken.attempt.attempt_id


def context(number):
    return {"trace_id": "t", "span_id": f"c{number}", "is_remote": True, "trace_state": {"k": "v"}}


async def test_a_span_comes_back_as_it_was_sent(http, ids):
    sent = span_json(
        *ids,
        7,
        "no hex at all / ?",
        attributes={"s": "ü🙂", "b": True, "i": 2**53 + 1, "f": 1.0, "l": ["a", "b"], "e": [], "n": [1, 2]},
        status={"status_code": "ERROR", "description": "why", "extra": 1},
        events=[{"name": "e", "attributes": {"k": 1}, "timestamp": 12.5, "extra": "x"}],
        links=[{"context": context(1), "attributes": None}],
        context=context(2),
        parent=context(3),
        parent_id="p",
        resource={"attributes": {"service.name": "s"}, "schema_url": "https://schema"},
        start_time=None,
        end_time=1700000000.25,
        extra={"kept": [1, {"deep": None}]},
    )
    answer = await http.post("/spans", json=sent)
    assert answer.status_code == 201 and answer.json() == sent
    (found,) = (await http.post("/spans/search", json={"rollout_id": ids[0]})).json()["items"]
    assert found == sent
    assert '"f":1.0' in answer.text


async def test_lists_of_numbers_become_one_kind(http, ids):
    sent = span_json(*ids, attributes={"floats": [1, 2.5], "bools": [True, 1]})
    answer = await http.post("/spans", json=sent)
    assert answer.json()["attributes"] == {"floats": [1.0, 2.5], "bools": [True, True]}


async def test_a_duplicate_is_answered_with_null_and_the_first_is_kept(store, http, ids):
    await store.add_span(span(*ids, 1, "a", name="first"))
    answer = await http.post("/spans", json=span_json(*ids, 2, "a", name="second"))
    assert (answer.status_code, answer.text) == (201, "null")
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert [item.name for item in await store.query_spans(ids[0])] == ["first"]
    added = await store.add_many_spans([span(*ids, 3, "a"), span(*ids, 4, "b"), span(*ids, 5, "b")])
    assert [item.span_id for item in added] == ["b"]
    again = await store.start_attempt(ids[0])
    other = span(ids[0], again.attempt.attempt_id, 6, "a")
    assert await store.add_span(other) is not None
    assert (await store.statistics())["total_spans"] == 3


async def test_many_copies_at_once_are_stored_once(store, ids):
    added = await asyncio.gather(*(store.add_span(span(*ids, 1, "same")) for _ in range(20)))
    assert sum(item is not None for item in added) == 1
    assert len(await store.query_spans(ids[0])) == 1


async def test_numbers_belong_to_the_rollout(store, http, ids):
    rollout, attempt = ids
    assert await store.get_next_span_sequence_id(rollout, attempt) == 1
    assert await store.get_next_span_sequence_id(rollout, "at-made-up") == 2
    answer = await http.post("/spans/next", json={"rollout_id": rollout, "attempt_id": attempt})
    assert (answer.status_code, answer.json()) == (200, {"sequence_id": 3})
    other = await store.start_rollout("task")
    pairs = [(rollout, attempt), (other.rollout_id, "x"), (rollout, attempt), (rollout, attempt)]
    assert list(await store.get_many_span_sequence_ids(pairs)) == [4, 1, 5, 6]
    assert await store.get_next_span_sequence_id("ro-unknown", "at-unknown") == 1
    assert await store.get_next_span_sequence_id("ro-unknown", "at-unknown") == 2


async def test_numbers_asked_for_at_once_are_unique_and_without_gaps(store, ids):
    given = await asyncio.gather(*(store.get_next_span_sequence_id(*ids) for _ in range(30)))
    assert sorted(given) == list(range(1, 31))


async def test_a_stored_number_moves_the_counter_up_never_down(store, ids):
    await store.add_span(span(*ids, 100, "a"))
    assert await store.get_next_span_sequence_id(*ids) == 101
    await store.add_span(span(*ids, 5, "b"))
    assert await store.get_next_span_sequence_id(*ids) == 102
    assert await store.add_span(span(*ids, 200, "a")) is None
    assert await store.get_next_span_sequence_id(*ids) == 201


async def test_zero_and_negative_numbers_are_legal(store, ids):
    await store.add_span(span(*ids, 0, "a"))
    assert await store.get_next_span_sequence_id(*ids) == 1
    await store.add_span(span(*ids, -3, "b"))
    assert [item.sequence_id for item in await store.query_spans(ids[0])] == [-3, 0]


async def test_an_opentelemetry_span_is_added_with_a_number_of_its_own(store, ids):
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("outer", attributes={"k": "v"}) as outer:
        with tracer.start_as_current_span("inner") as inner:
            inner.add_event("happened", {"n": 1})
    await store.add_otel_span(*ids, inner)
    await store.add_otel_span(*ids, outer, sequence_id=9)
    first, second = await store.query_spans(ids[0])
    assert (first.name, first.sequence_id, first.parent_id) == ("inner", 1, second.span_id)
    assert (second.name, second.sequence_id, second.attributes) == ("outer", 9, {"k": "v"})
    assert first.events[0].name == "happened"
    assert first.start_time == pytest.approx(inner.start_time / 1e9, abs=1e-6)
    assert await store.get_next_span_sequence_id(*ids) == 10


async def test_spans_added_at_once_by_the_package_get_different_numbers(store, ids):
    tracer = TracerProvider().get_tracer("test")
    spans = [tracer.start_span(f"s{n}") for n in range(12)]
    for made in spans:
        made.end()
    await asyncio.gather(*(store.add_otel_span(*ids, made) for made in spans))
    assert [item.sequence_id for item in await store.query_spans(ids[0])] == list(range(1, 13))


@pytest.mark.parametrize("missing", ["rollout_id", "parent_id", "start_time", "context", "resource", "name"])
async def test_every_key_of_a_span_has_to_be_there(http, ids, missing):
    sent = span_json(*ids)
    del sent[missing]
    answer = await http.post("/spans", json=sent)
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert (detail["type"], detail["loc"], detail["msg"]) == ("missing", ["body", missing], "Field required")


@pytest.mark.parametrize("value", [{"a": 1}, None, ["a", 1], [None]])
async def test_attributes_of_other_kinds_are_refused(http, ids, value):
    answer = await http.post("/spans", json=span_json(*ids, attributes={"k": value}))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:3] == ["body", "attributes", "k"]


async def test_a_span_is_read_as_soon_as_it_is_stored(store, ids):
    for number in range(1, 21):
        await store.add_span(span(*ids, number))
        assert len(await store.query_spans(ids[0])) == number
