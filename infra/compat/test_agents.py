"""The package's runner, tracers, emitters and adapter at work on the store.

OpenTelemetry has one tracer provider a process, and the package's tracers each want to be it: so
each of these tests runs in a process of its own.
"""

import asyncio
import multiprocessing
import traceback

import pytest

import agentlightning as agl

import agents
from stub_model import PROMPT_TOKENS

PROMPT = {"prompt_template": agl.PromptTemplate(template="Do {task}!", engine="f-string")}


def apart(work, *words):
    """Runs a coroutine function in a forked process, whose imports are ours already."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def run():
        try:
            asyncio.run(work(*words))
            send.send(None)
        except BaseException:
            send.send(traceback.format_exc())

    child = context.Process(target=run)
    child.start()
    failure = receive.recv() if receive.poll(60) else "no result within 60 s"
    child.join(5)
    if child.is_alive():
        child.kill()
    assert failure is None, failure


async def run_agent(address, agent, tracer, resources, tasks, **config):
    """Enqueues tasks, lets a runner work on all of them, and gives back store and ids."""
    store = agl.LightningStoreClient(address)
    await store.add_resources(resources)
    wanted = [
        agl.EnqueueRolloutRequest(input=task, mode="train", config=agl.RolloutConfig(**config))
        for task in tasks
    ]
    made = await store.enqueue_many_rollouts(wanted)
    count = len(tasks) * config.get("max_attempts", 1)
    runner = agl.LitAgentRunner(tracer, max_rollouts=count, poll_interval=0.05)
    runner.init(agent)
    runner.init_worker(0, store)
    await runner.iter()
    runner.teardown_worker(0)
    runner.teardown()
    return store, [rollout.rollout_id for rollout in made]


async def emitters(address):
    store, ids = await run_agent(address, agents.emits_everything, agl.OtelTracer(), PROMPT, ["a", "b"])
    for rollout_id, task in zip(ids, "ab"):
        rollout = await store.get_rollout_by_id(rollout_id)
        assert (rollout.status, rollout.attempt.worker_id) == ("succeeded", "Worker-0")
        spans = list(await store.query_spans(rollout_id, attempt_id="latest"))
        assert [span.sequence_id for span in spans] == list(range(1, len(spans) + 1))
        assert {span.attempt_id for span in spans} == {rollout.attempt.attempt_id}
        messages = [agl.get_message_value(span) for span in spans]
        assert f"Do {task}!" in messages
        objects = [span for span in spans if span.name == "agentlightning.object"]
        assert agl.get_object_value(objects[0]) == {"answer": [1, 2.5]}
        assert agl.find_final_reward(spans) == 0.5
        (reward,) = agl.find_reward_spans(spans)
        assert [(part.name, part.value) for part in agl.get_rewards_from_span(reward)] == [
            ("score", 0.5),
            ("style", 0.25),
        ]
        assert any("LookupError" in str(span.attributes) for span in spans)
        assert any(span.attributes.get("stage") == "middle" for span in spans)
        assert any(span.name == "agentlightning.operation" for span in spans)
    assert (await store.get_worker_by_id("Worker-0")).status == "idle"
    await store.close()


def test_the_otel_tracer_and_every_emitter(address):
    apart(emitters, address)


async def agentops(address, model):
    resources = {"llm": agl.LLM(endpoint=model, model="stub")}
    tracer = agl.AgentOpsTracer()
    store, ids = await run_agent(address, agents.asks_once, tracer, resources, [{"q": 1}, {"q": 2}])
    for rollout_id in ids:
        rollout = await store.get_rollout_by_id(rollout_id)
        assert rollout.status == "succeeded"
        spans = list(await store.query_spans(rollout_id))
        (call,) = [span for span in spans if span.name == "openai.chat.completion"]
        assert list(call.attributes["prompt_token_ids"]) == PROMPT_TOKENS
        assert agl.find_final_reward(spans) == 0.75
        triplet = agents.check_triplets(spans, 0.75)
        assert triplet.metadata["response_id"] == call.attributes["gen_ai.response.id"]
    await store.close()


def test_the_agentops_tracer_records_calls_that_become_triplets(address, model):
    apart(agentops, address, model)


async def failures(address):
    store, ids = await run_agent(
        address, agents.always_fails, agl.OtelTracer(), PROMPT, ["x"], max_attempts=2, retry_condition=["failed"]
    )
    attempts = await store.query_attempts(ids[0])
    assert [attempt.status for attempt in attempts] == ["failed", "failed"]
    assert (await store.get_rollout_by_id(ids[0])).status == "failed"
    await store.close()


def test_a_failing_agent_is_tried_again(address):
    apart(failures, address)


async def heartbeats(address):
    store = agl.LightningStoreClient(address)
    runner = agl.LitAgentRunner(agl.OtelTracer(), poll_interval=0.1, heartbeat_interval=1, interval_jitter=0.1)
    stop = agl.ThreadingEvent()
    with runner.run_context(agent=agents.emits_everything, store=store):
        running = asyncio.create_task(runner.iter(event=stop))
        for _ in range(100):
            worker = await store.get_worker_by_id("Worker-0")
            if worker is not None and worker.heartbeat_stats and worker.status == "idle":
                break
            await asyncio.sleep(0.1)
        stop.set()
        await running
    assert worker.last_heartbeat_time is not None and "cpu_name" in worker.heartbeat_stats
    assert worker.status == "idle" and worker.last_dequeue_time is not None
    await store.close()


def test_a_waiting_runner_sends_heartbeats(address):
    apart(heartbeats, address)


async def step(address):
    store = agl.LightningStoreClient(address)
    runner = agl.LitAgentRunner(agl.OtelTracer())
    with runner.run_context(agent=agents.emits_everything, store=store):
        rollout = await runner.step("now", resources=PROMPT, mode="val")
    assert (rollout.status, rollout.mode) == ("succeeded", "val")
    assert agl.find_final_reward(list(await store.query_spans(rollout.rollout_id))) == 0.5
    await store.close()


def test_a_single_step_without_the_queue(address):
    apart(step, address)
