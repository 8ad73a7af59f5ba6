import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Produced } from "../../producers/producer.ts";
import { packFloat32, packInt32 } from "../../schemas/bytes.ts";
import { keyOf, topics } from "../../schemas/topics.ts";
import type { TransitionRecorded } from "../../schemas/types.ts";
import { groupClosed, transition } from "../../sinks/trainer/fixtures.ts";
import { keepPublished, resourceNames, startPolicy } from "../../sinks/trainer/worker/publish.ts";
import {
  freePort,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";
import { readTraining, startTrainerProcess } from "./training.ts";

type Set = {
  readonly version: number;
  readonly resources: Readonly<Record<string, { endpoint?: string; blob?: string }>>;
};

let stack: Stack;
let gateway: RoleProcess;
let trainer: RoleProcess;
const workers = new Map<string, RoleProcess>();

before(async () => {
  stack = await startStack();
  const [port, trainerPort] = [await freePort(), await freePort()];
  gateway = startRoleProcess(stack, ["gateway", "track-rollouts"], {
    args: ["--port", String(port)],
  });
  trainer = startTrainerProcess(stack, trainerPort);
  await Promise.all([gateway.ready(), trainer.ready()]);
  stack.settings.LIGHTNING_URL = `http://127.0.0.1:${port}`;
  stack.settings.LIGHTNING_TRAINER_URL = `http://127.0.0.1:${trainerPort}`;
  // Both at once: whoever overwrites the other's resources finds the other still there afterwards.
  for (const policy of ["writer", "critic"]) {
    const args = ["worker", "--policy", policy, "--port", "0"];
    workers.set(policy, startRoleProcess(stack, [], { args }));
  }
  await Promise.all([...workers.values()].map((worker) => worker.ready()));
});

after(async () => {
  await Promise.all([...workers.values(), gateway, trainer].map((process) => process?.stop()));
  await stack?.close();
});

async function setOf(project = ""): Promise<Set | null> {
  const answer = await fetch(`${stack.settings.LIGHTNING_URL}${project}/api/v1/resources/policy`);
  return answer.ok ? ((await answer.json()) as Set) : null;
}

type Completion = {
  readonly model: string;
  readonly prompt_token_ids: number[];
  readonly choices: {
    token_ids: number[];
    logprobs: { content: { logprob: number }[] };
  }[];
};

/** A row of what the model of a policy says now. */
async function rowOf(groupId: string, member: number, policy: string): Promise<TransitionRecorded> {
  const set = await setOf();
  const answer = await fetch(`${set?.resources[policy]?.endpoint}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: "hi" }], logprobs: true }),
  });
  const said = (await answer.json()) as Completion;
  assert.equal(said.model, policy);
  const [choice] = said.choices;
  const logprobs = choice?.logprobs.content.map(({ logprob }) => logprob) ?? [];
  return transition({
    group_id: groupId,
    rollout_id: `${groupId}-r${member}`,
    span_id: policy,
    policy,
    policy_version: set?.version ?? null,
    prompt_ids: packInt32(said.prompt_token_ids),
    response_ids: packInt32(choice?.token_ids ?? []),
    logprobs: packFloat32(logprobs),
    advantage: member === 0 ? 1 : -1,
  }).value;
}

/** A group of two rollouts, in each of which these policies acted once. */
async function appendGroup(id: string, policies: readonly string[]): Promise<void> {
  const asked = [0, 1].flatMap((member) => policies.map((policy) => rowOf(id, member, policy)));
  const rows = await Promise.all(asked);
  const versions = rows.flatMap(({ policy_version }) => policy_version ?? []);
  const closed = groupClosed({
    group_id: id,
    group_size: 2,
    members: [`${id}-r0`, `${id}-r1`],
    transitions: rows.length,
    min_policy_version: Math.min(...versions),
    max_policy_version: Math.max(...versions),
  });
  const records = [
    ...rows.map((value) => ({ type: "TransitionRecorded" as const, value })),
    closed,
  ];
  await stack.context.append(
    records.map((one) => ({ ...one, topic: "transitions", key: keyOf("default", id) }) as Produced),
  );
}

describe("lightning worker --policy", () => {
  test("serves and trains one policy, beside a worker that trains another from the same rollouts", async () => {
    const names = ["critic", "critic.weights", "writer", "writer.weights"];
    let set: Set | null = null;
    await until(
      () => `read the resources ${Object.keys(set?.resources ?? {})}`,
      20_000,
      async () => {
        set = await setOf();
        return (
          Object.keys(set?.resources ?? {})
            .sort()
            .join() === names.join()
        );
      },
    );
    await stack.context.codec.prepare("transitions", topics.transitions.records);
    for (let i = 0; i < 3; i++) await appendGroup(`g${i}`, ["writer", "critic"]);
    await appendGroup("written", ["writer"]);
    let leased: [string, string[]][] = [];
    await until(
      () => `trained ${JSON.stringify(leased)}`,
      30_000,
      async () => {
        const { trained } = await readTraining(stack);
        leased = trained.map(({ worker_id, groups }) => [worker_id, [...groups]]);
        return leased.flatMap(([, groups]) => groups).length >= 7;
      },
    );
    for (const [policy, groups] of [
      ["writer", ["g0", "g1", "g2", "written"]],
      ["critic", ["g0", "g1", "g2"]],
    ] as const) {
      const own = leased.filter(([worker]) => worker.endsWith(`-${policy}`));
      assert.deepEqual(own.flatMap(([, ids]) => ids).sort(), groups, policy);
    }
    const { batches } = await readTraining(stack);
    assert.ok(batches.every(({ record }) => record?.type !== "BatchReturned"));
    assert.deepEqual(Object.keys((await setOf())?.resources ?? {}).sort(), names);
  });

  test("its version is that of the set it is in, and what another one overwrote it publishes again", async () => {
    const project = "/projects/publishing";
    const publisherOf = (policy: string | null) => ({
      gatewayUrl: `${stack.settings.LIGHTNING_URL}${project}`,
      endpoint: `http://127.0.0.1:1/${policy}/v1`,
      model: "m",
      names: resourceNames(policy),
      seed: 1,
    });
    const [writer, critic] = [publisherOf("writer"), publisherOf("critic")];
    const served = await startPolicy(writer);
    const other = await startPolicy(critic);
    assert.deepEqual([served.version, other.version], [1, 2]);
    await keepPublished(writer, served);
    assert.equal(served.version, 2, "a version of the other's has our policy too");
    // What comes of it when the other one read the set before we had published.
    await fetch(`${writer.gatewayUrl}/api/v1/resources/policy`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        resources: { critic: { kind: "llm", model: "m", endpoint: "http://127.0.0.1:1/v1" } },
      }),
    });
    await keepPublished(writer, served);
    assert.equal(served.version, 4);
    const names = Object.keys((await setOf(project))?.resources ?? {});
    assert.deepEqual(names.sort(), ["critic", "writer", "writer.weights"]);
    const again = await startPolicy(writer);
    assert.deepEqual(again.policy.weights, served.policy.weights, "it goes on from the log");
  });
});
