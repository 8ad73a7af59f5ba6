"""The package's Trainer: an algorithm and several runners in processes, the store behind a URL."""

import multiprocessing
import os

import agentlightning as agl

import agents
from test_agents import PROMPT, apart


class CountsProcesses(agl.Hook):
    """Leaves the runner's process id on the rollout."""

    async def on_rollout_end(self, *, agent, runner, rollout, spans):
        await runner.get_store().update_rollout(rollout.rollout_id, metadata={"pid": os.getpid()})


def fit(address, algorithm, agent, tracer, dataset, resources, n_runners):
    """What a user's script does; the store is where AGL_MANAGED_STORE=0 says: at the URL."""
    trainer = agl.Trainer(
        n_runners=n_runners,
        algorithm=algorithm,
        store=agl.LightningStoreClient(address),
        strategy=agl.ClientServerExecutionStrategy(n_runners=n_runners, managed_store=False, role="both"),
        runner=agl.LitAgentRunner(tracer, poll_interval=0.1, interval_jitter=0.01),
        initial_resources=resources,
        hooks=[CountsProcesses()],
    )
    trainer.fit(agent, train_dataset=dataset)


def fit_apart(*words):
    """In a process of its own, which is not a daemon: it has children."""
    child = multiprocessing.get_context("fork").Process(target=fit, args=words)
    child.start()
    child.join(60)
    alive = child.is_alive()
    if alive:
        child.kill()
    assert not alive and child.exitcode == 0


async def everything(address, count, reward, triplets=False):
    store = agl.LightningStoreClient(address)
    rollouts = list(await store.query_rollouts())
    assert len(rollouts) == count
    assert {rollout.status for rollout in rollouts} == {"succeeded"}
    for rollout in rollouts:
        spans = list(await store.query_spans(rollout.rollout_id, attempt_id="latest"))
        assert agl.find_final_reward(spans) == reward
        if triplets:
            agents.check_triplets(spans, reward)
    workers = list(await store.query_workers())
    busy_with = {worker.current_rollout_id for worker in workers}
    assert busy_with == {None}
    await store.close()


def test_baseline_with_two_runners(address, model):
    baseline = agl.Baseline(polling_interval=0.1, span_verbosity="key_values")
    resources = {"llm": agl.LLM(endpoint=model, model="stub")}
    tasks = [f"task {n}" for n in range(6)]
    fit_apart(address, baseline, agents.asks_once, agl.AgentOpsTracer(), tasks, resources, 2)
    apart(everything, address, 6, 0.75, True)


@agl.algo
async def rounds(*, store, train_dataset, initial_resources):
    """Two rounds with new resources each, as a trainer that updates its model does."""
    import asyncio

    for number in range(2):
        update = await store.add_resources(initial_resources)
        ids = []
        for task in train_dataset:
            rollout = await store.enqueue_rollout(task, mode="train", resources_id=update.resources_id)
            ids.append(rollout.rollout_id)
        done = []
        while len(done) < len(ids):
            done = await store.wait_for_rollouts(rollout_ids=ids, timeout=0.0)
            await asyncio.sleep(0.05)
        assert [rollout.rollout_id for rollout in done] == ids, number


def test_an_algorithm_of_ones_own_with_three_runners(address):
    tasks = [f"task {n}" for n in range(9)]
    fit_apart(address, rounds, agents.emits_everything, agl.OtelTracer(), tasks, PROMPT, 3)
    apart(everything, address, 18, 0.5)
    apart(spread, address)


async def spread(address):
    """Every runner took part, and each rollout kept the resources of its round."""
    store = agl.LightningStoreClient(address)
    rollouts = list(await store.query_rollouts())
    assert len({rollout.metadata["pid"] for rollout in rollouts}) == 3
    assert len({rollout.resources_id for rollout in rollouts}) == 2
    workers = {worker.worker_id for worker in await store.query_workers()}
    assert workers == {"Worker-0", "Worker-1", "Worker-2"}
    await store.close()
