import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { keyOf } from "../../schemas/topics.ts";
import type { CreditRequested, TransitionRecorded } from "../../schemas/types.ts";
import { tailPartition } from "../fold-partition.ts";
import { type Pipeline, startPipeline } from "./pipeline.ts";
import { until } from "./stack.ts";
import { recordsOf } from "./verify.ts";

let pipeline: Pipeline;

before(async () => {
  pipeline = await startPipeline([
    "gateway",
    "track-rollouts",
    "assemble-rollouts",
    "assign-credit",
  ]);
  const options = { fallback: "leave-one-out" };
  const credit = { strategy: "external", parameters: { deadline_seconds: 5 }, options };
  await pipeline.ask("PUT", "/settings", { credit });
});

after(() => pipeline?.close());

/** A rollout of one call and one reward, ended. */
async function runOne(group: string, reward: number): Promise<void> {
  const { attempt } = await pipeline.startOne({ input: "task", group_id: group, group_size: 2 });
  await pipeline.ask("POST", `${attempt}/rewards`, { value: reward });
  await pipeline.ask("POST", `${attempt}/end`, { status: "succeeded" });
}

/** Somebody's processor: credits every step with ten times the reward of its rollout. */
function answering(groups: ReadonlySet<string>): () => Promise<void> {
  const { client, codec, append } = pipeline.stack.context;
  const answer = ({ project, group_id, revision, members }: CreditRequested): Promise<unknown> =>
    append([
      {
        type: "CreditAssigned",
        topic: "steps",
        key: keyOf(project, group_id),
        value: {
          project,
          group_id,
          revision,
          members: members.map(({ rollout_id, reward, steps }) => ({
            rollout_id,
            advantages: steps.map(() => 10 * (reward ?? 0)),
            returns: [],
          })),
        },
      },
    ]);
  const tails = Array.from(
    { length: Number(pipeline.stack.values.LIGHTNING_PARTITIONS) },
    (_, partition) =>
      tailPartition(
        client,
        codec,
        { topic: "credit-requests", partition, from: 0 },
        ({ record }) => {
          if (record?.type === "CreditRequested" && groups.has(record.value.group_id)) {
            void answer(record.value);
          }
        },
        assert.fail,
      ),
  );
  return async () => {
    await Promise.all(tails.map((tail) => tail.close()));
  };
}

async function credited(group: string): Promise<readonly TransitionRecorded[]> {
  let rows: TransitionRecorded[] = [];
  await until(
    () => `${rows.length} transitions of ${group}`,
    20_000,
    async () => {
      rows = (await recordsOf(pipeline.stack, "transitions")).flatMap(({ record }) =>
        record?.type === "TransitionRecorded" && record.value.group_id === group
          ? [record.value]
          : [],
      );
      return rows.length === 2;
    },
  );
  return rows.toSorted((a, b) => (a.rollout_reward ?? 0) - (b.rollout_reward ?? 0));
}

test("a processor of somebody else's credits a group through the log, the fallback one it leaves", async () => {
  await pipeline.stack.context.codec.prepare("credit-requests", ["CreditRequested"]);
  await pipeline.stack.context.codec.prepare("steps", ["CreditAssigned"]);
  const close = answering(new Set(["answered"]));
  try {
    for (const group of ["answered", "left"]) {
      await runOne(group, 0.25);
      await runOne(group, 0.75);
    }
    const answered = await credited("answered");
    assert.deepEqual(
      answered.map(({ advantage, credit }) => [advantage, credit.options.used]),
      [
        [2.5, "external"],
        [7.5, "external"],
      ],
    );
    const left = await credited("left");
    assert.deepEqual(
      left.map(({ advantage, credit }) => [advantage, credit.options.used]),
      [
        [-0.5, "fallback"],
        [0.5, "fallback"],
      ],
    );
  } finally {
    await close();
  }
});
