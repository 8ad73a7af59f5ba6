"""Statuses and bodies of what is wrong, and values that must survive the way there and back."""

import json
import math

import pytest

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


async def enqueue(http, text):
    body = '{"rollouts":[{"input":' + text + "}]}"
    answer = await http.post("/queues/rollouts/enqueue", content=body.encode(), headers=JSON)
    return answer


@pytest.mark.parametrize(
    "text",
    [
        "1.0", "1", "-0.0", "1e300", "9007199254740993", "123456789012345678901234567890", "null", "true", '""',
        '"\\u0000"', '"🙂\\ud83d\\ude42"', '[1,1.0,[],{}]', '{"b":1,"a":{"x":[1.50]}}', '"__proto__"',
        '{"__proto__":{"x":1},"constructor":null}',
    ],
)
async def test_an_input_keeps_its_value(http, text):
    answer = await enqueue(http, text)
    assert answer.status_code == 201, answer.text
    (rollout,) = answer.json()
    expected = json.loads(text)

    def same(found):
        # 1 and 1.0 are equal in Python, but not the same to whoever counts.
        return repr(found) == repr(expected)

    assert same(rollout["input"])
    got = (await http.get(f"/rollouts/{rollout['rollout_id']}")).json()
    assert same(got["input"])
    (taken,) = (await http.post("/queues/rollouts/dequeue", json={})).json()
    assert same(taken["input"])


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
async def test_numbers_that_json_does_not_have_are_read_as_null(http, text):
    answer = await enqueue(http, f'{{"x":[{text},1]}}')
    assert answer.status_code == 201
    assert answer.json()[0]["input"] == {"x": [None, 1]}


async def test_five_megabytes_and_long_ids_pass(http):
    large = "x" * 5_000_000
    answer = await enqueue(http, json.dumps(large))
    assert answer.status_code == 201 and answer.json()[0]["input"] == large
    long_id = "w" * 300
    answer = await http.post(f"/workers/{long_id}", json={"heartbeat_stats": {"cpu": 1.0}})
    assert answer.status_code == 200 and answer.json()["worker_id"] == long_id
    answer = await http.get(f"/workers/{long_id}")
    assert answer.json()["heartbeat_stats"] == {"cpu": 1.0}


async def test_metadata_and_stats_keep_their_numbers(http):
    body = '{"input":1,"metadata":{"f":2.0,"big":9007199254740993,"n":null},"worker_id":"w"}'
    answer = await http.post("/rollouts", content=body, headers=JSON)
    assert answer.status_code == 201 and '"f":2.0' in answer.text and "9007199254740993" in answer.text
    answer = await http.post("/workers/w", content='{"heartbeat_stats":{"load":3.0}}', headers=JSON)
    assert '"load":3.0' in answer.text
    taken = (await http.get("/rollouts")).json()["items"][0]
    path = f"/rollouts/{taken['rollout_id']}/attempts/latest"
    answer = await http.post(path, content='{"metadata":{"score":4.0}}', headers=JSON)
    assert '"score":4.0' in answer.text


async def refused(http, path, body, kind, loc):
    answer = await http.post(path, json=body)
    assert answer.status_code == 422, (path, body, answer.text)
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    details = answer.json()["detail"]
    assert any(detail["type"] == kind and detail["loc"] == loc for detail in details), details
    assert all({"type", "loc", "msg", "input"} <= set(detail) for detail in details)


async def test_the_missing_is_named(http):
    answer = await http.post("/queues/rollouts/enqueue", json={})
    assert answer.status_code == 422
    expected = {"type": "missing", "loc": ["body", "rollouts"], "msg": "Field required", "input": {}}
    assert answer.json() == {"detail": [expected]}
    await refused(http, "/queues/rollouts/enqueue", {"rollouts": [{}]}, "missing", ["body", "rollouts", 0, "input"])
    await refused(http, "/rollouts", {"mode": "train"}, "missing", ["body", "input"])
    await refused(http, "/spans/next", {"rollout_id": "r"}, "missing", ["body", "attempt_id"])
    await refused(http, "/waits/rollouts", {}, "missing", ["body", "rollout_ids"])
    for path in ("/rollouts", "/rollouts/search", "/queues/rollouts/enqueue", "/spans/search"):
        assert (await http.post(path)).status_code == 422, path


async def test_the_wrong_is_named(http):
    enqueue_path = "/queues/rollouts/enqueue"
    where = ["body", "rollouts", 0]
    wrong = {"input": 1, "mode": "bogus"}
    await refused(http, enqueue_path, {"rollouts": [wrong]}, "literal_error", [*where, "mode"])
    for config, kind, loc in (
        ({"max_attempts": 0}, "greater_than_equal", ["max_attempts"]),
        ({"retry_condition": ["bogus"]}, "literal_error", ["retry_condition", 0]),
        ({"timeout_seconds": "x"}, "float_parsing", ["timeout_seconds"]),
    ):
        body = {"rollouts": [{"input": 1, "config": config}]}
        await refused(http, enqueue_path, body, kind, [*where, "config", *loc])
    await refused(http, "/rollouts/search", {"status_in": "queuing"}, "list_type", ["body", "status_in"])
    await refused(http, "/rollouts/search", {"status_in": ["x"]}, "literal_error", ["body", "status_in", 0])
    await refused(http, "/rollouts/search", {"sort_order": "up"}, "literal_error", ["body", "sort_order"])
    await refused(http, "/rollouts/search", {"filter_logic": "xor"}, "literal_error", ["body", "filter_logic"])
    await refused(http, "/workers/search", {"status_in": ["x"]}, "literal_error", ["body", "status_in", 0])
    await refused(http, "/queues/rollouts/dequeue", {"limit": "many"}, "int_parsing", ["body", "limit"])
    await refused(http, "/waits/rollouts", {"rollout_ids": "x"}, "list_type", ["body", "rollout_ids"])


async def test_words_of_the_query_are_named_too(http):
    answer = await http.get("/rollouts", params={"limit": "x"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]
    assert (await http.get("/rollouts", params={"sort_order": "up"})).status_code == 422


async def test_what_is_no_json_is_refused(http):
    for text in ("{", "", "[1,", '{"rollouts":}'):
        answer = await http.post("/queues/rollouts/enqueue", content=text, headers=JSON)
        assert answer.status_code == 422, text
    answer = await http.post("/queues/rollouts/enqueue", content='{"rollouts": [}', headers=JSON)
    assert answer.json()["detail"][0]["type"] == "json_invalid"


async def test_unknown_keys_are_ignored(http):
    answer = await http.post("/rollouts", json={"input": 1, "surprise": True})
    assert answer.status_code == 201 and "surprise" not in answer.json()


async def test_paths_and_methods_that_do_not_exist(http):
    for path in ("/rollouts/", "/nothing", "/workers/"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"}), path
    for method, path in (("DELETE", "/rollouts"), ("PUT", "/spans"), ("PATCH", "/workers/w")):
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"}), path


async def test_config_numbers_are_floats(http):
    config = {"timeout_seconds": 5, "unresponsive_seconds": 0.25}
    answer = await http.post("/rollouts", json={"input": 1, "config": config})
    found = answer.json()["config"]
    assert repr(found["timeout_seconds"]) == "5.0" and math.isclose(found["unresponsive_seconds"], 0.25)
