"""Filters, sorting and paging, by the client and as the two HTTP forms."""

import pytest
from agentlightning import EnqueueRolloutRequest

from samples import span

pytestmark = pytest.mark.anyio


def ids(page):
    return [rollout.rollout_id for rollout in page]


async def enqueue(store, count, **more):
    wanted = [EnqueueRolloutRequest(input=n, **more) for n in range(count)]
    return ids(await store.enqueue_many_rollouts(wanted))


async def test_rollouts_by_status_id_and_part_of_an_id(store):
    a, b, c = await enqueue(store, 3)
    await store.dequeue_rollout()
    assert ids(await store.query_rollouts(status_in=["preparing"])) == [a]
    assert set(ids(await store.query_rollouts(status_in=["queuing", "preparing"]))) == {a, b, c}
    assert ids(await store.query_rollouts(status_in=["failed"])) == []
    assert set(ids(await store.query_rollouts(rollout_id_in=[c, a, "ro-x"]))) == {a, c}
    assert b in ids(await store.query_rollouts(rollout_id_contains=b[4:10]))
    assert ids(await store.query_rollouts(rollout_id_contains=b[4:10].upper() + "Q")) == []
    both = await store.query_rollouts(status_in=["preparing"], rollout_id_in=[b])
    assert ids(both) == []
    either = await store.query_rollouts(status_in=["preparing"], rollout_id_in=[b], filter_logic="or")
    assert set(ids(either)) == {a, b}
    everything = await store.query_rollouts(filter_logic="or")
    assert set(ids(everything)) == {a, b, c}


async def test_an_empty_list_matches_nothing_and_null_everything(store, http):
    await enqueue(store, 2)
    assert (await http.post("/rollouts/search", json={"status_in": []})).json()["items"] == []
    assert (await http.post("/rollouts/search", json={"rollout_id_in": []})).json()["total"] == 0
    assert (await http.post("/rollouts/search", json={"status_in": None})).json()["total"] == 2
    assert (await http.post("/rollouts/search", json={})).json()["total"] == 2


async def test_a_page_says_how_many_there_are(store, http):
    made = await enqueue(store, 5)
    page = await store.query_rollouts(sort_by="start_time", limit=2, offset=1)
    assert (ids(page), page.limit, page.offset, page.total) == (made[1:3], 2, 1, 5)
    past = await store.query_rollouts(limit=2, offset=9)
    assert (ids(past), past.total) == ([], 5)
    got = (await http.get("/rollouts", params={"limit": 3})).json()
    assert list(got) == ["items", "limit", "offset", "total"]
    assert (len(got["items"]), got["limit"], got["offset"], got["total"]) == (3, 3, 0, 5)
    got = (await http.get("/rollouts")).json()
    assert (got["limit"], got["offset"]) == (-1, 0)


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": -2}, {"offset": -1}, {"sort_by": "nope"}])
async def test_impossible_pages_are_refused_with_400(store, http, wrong):
    rollout = await store.start_rollout("task")
    await store.update_worker("w")
    for path in ("/rollouts", "/workers", "/resources", f"/rollouts/{rollout.rollout_id}/attempts"):
        assert (await http.get(path, params=wrong)).status_code == 400, path
        if path != "/resources":
            assert (await http.post(f"{path}/search", json=wrong)).status_code == 400, path
    spans = {**wrong, "rollout_id": rollout.rollout_id}
    assert (await http.get("/spans", params=spans)).status_code == 400
    assert (await http.post("/spans/search", json=spans)).status_code == 400


async def test_an_unknown_sort_field_is_answered_with_the_allowed_ones(http):
    answer = await http.post("/rollouts/search", json={"sort_by": "nope"})
    allowed = "rollout_id, input, start_time, end_time, mode, resources_id, status, config, metadata"
    expected = f"Invalid sort_by: nope, allowed fields are: {allowed}"
    assert (answer.status_code, answer.json()) == (400, {"detail": expected})


async def test_rollouts_sort_with_nulls_where_the_package_has_them(store):
    a, b, c = await enqueue(store, 3)
    for rollout in (b, a):
        await store.update_rollout(rollout, status="cancelled")
    ascending = await store.query_rollouts(sort_by="end_time")
    assert ids(ascending) == [b, a, c]
    descending = await store.query_rollouts(sort_by="end_time", sort_order="desc")
    assert ids(descending) == [c, a, b]
    await store.update_rollout(a, mode="val")
    await store.update_rollout(c, mode="test")
    assert ids(await store.query_rollouts(sort_by="mode")) == [b, c, a]
    assert ids(await store.query_rollouts(sort_by="mode", sort_order="desc")) == [a, c, b]


async def test_ties_keep_the_order_of_insertion_in_both_directions(store):
    made = await enqueue(store, 4)
    for order in ("asc", "desc"):
        assert ids(await store.query_rollouts(sort_by="status", sort_order=order)) == made


async def test_a_repeated_key_is_a_list_and_a_comma_is_not(store, http):
    a, b, _ = await enqueue(store, 3)
    await store.dequeue_rollout()
    got = await http.get("/rollouts", params={"status_in": ["queuing", "preparing"]})
    assert got.json()["total"] == 3
    got = await http.get("/rollouts", params=[("rollout_id_in", a), ("rollout_id_in", b)])
    assert got.json()["total"] == 2
    assert (await http.get("/rollouts", params={"status_in": "queuing,preparing"})).status_code == 422


async def test_attempts_of_an_unknown_rollout_are_an_empty_page(store, http):
    assert list(await store.query_attempts("ro-unknown")) == []
    answer = await http.get("/rollouts/ro-unknown/attempts")
    assert (answer.status_code, answer.json()["total"]) == (200, 0)
    answer = await http.get("/rollouts/ro-unknown/attempts/latest")
    assert (answer.status_code, answer.text) == (200, "null")


async def test_static_names_win_where_the_method_exists(store, http):
    await enqueue(store, 2)
    assert (await http.post("/rollouts/search", json={"limit": 1})).json()["total"] == 2


@pytest.fixture
async def traced(store):
    """A rollout of two attempts with spans that differ in every field that can be asked for."""
    first = await store.start_rollout("task")
    second = await store.start_attempt(first.rollout_id)
    old, new = first.attempt.attempt_id, second.attempt.attempt_id
    rollout = first.rollout_id
    for made in (
        span(rollout, old, 1, "a", name="alpha", trace_id="t-1"),
        span(rollout, new, 4, "b", name="beta", trace_id="t-1", parent_id="a"),
        span(rollout, new, 3, "c", name="alpha-beta", trace_id="t-2", parent_id="b"),
        span(rollout, new, 2, "d", name="gamma", trace_id="t-2", end_time=None),
    ):
        await store.add_span(made)
    return rollout, old, new


async def test_spans_by_attempt_and_by_every_field(store, traced):
    rollout, old, new = traced

    async def found(**filters):
        return "".join(item.span_id for item in await store.query_spans(rollout, **filters))

    assert await found() == "adcb"
    assert await found(sort_order="desc") == "bcda"
    assert await found(attempt_id="latest") == await found(attempt_id=new) == "dcb"
    assert await found(attempt_id=old) == "a"
    assert await found(attempt_id="at-unknown") == ""
    assert await found(name="alpha") == "a"
    assert await found(name_contains="alpha") == "ac"
    assert await found(name_contains="ALPHA") == ""
    assert await found(trace_id="t-2") == "dc"
    assert await found(trace_id_contains="1") == "ab"
    assert await found(span_id="c") == await found(span_id_contains="c") == "c"
    assert await found(parent_id="a") == "b"
    assert await found(parent_id_contains="b") == "c"
    assert await found(name="alpha", trace_id="t-2") == ""
    assert await found(name="alpha", trace_id="t-2", filter_logic="or") == "adc"
    assert await found(attempt_id="latest", name="alpha", span_id="b", filter_logic="or") == "b"
    assert await found(name="alpha", name_contains="beta", filter_logic="or") == "acb"
    assert await found(filter_logic="or") == ""
    assert await found(sort_by="name") == "acbd"
    page = await store.query_spans(rollout, limit=2, offset=1)
    assert ([item.span_id for item in page], page.total) == (["d", "c"], 4)


async def test_spans_sort_with_nulls_where_the_package_has_them(store, traced):
    rollout, *_ = traced
    ascending = await store.query_spans(rollout, sort_by="end_time")
    assert ascending[-1].span_id == "d"
    descending = await store.query_spans(rollout, sort_by="end_time", sort_order="desc")
    assert descending[0].span_id == "d"
    by_parent = await store.query_spans(rollout, sort_by="parent_id")
    assert [item.parent_id for item in by_parent] == [None, None, "a", "b"]


async def test_spans_of_the_unknown_are_empty_pages(store, http, traced):
    assert list(await store.query_spans("ro-unknown")) == []
    rollout = await store.enqueue_rollout("task")
    assert list(await store.query_spans(rollout.rollout_id, attempt_id="latest")) == []
    missing = await http.post("/spans/search", json={})
    assert missing.status_code == 422
    assert missing.json()["detail"][0]["loc"] == ["body", "rollout_id"]
    missing = await http.get("/spans")
    assert missing.json()["detail"][0]["loc"] == ["query", "rollout_id"]
