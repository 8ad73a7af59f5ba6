import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { rowsOf } from "../../sinks/clickhouse/client.ts";
import { type Pipeline, startPipeline } from "./pipeline.ts";
import { clickHouseOfStack, until } from "./stack.ts";

let pipeline: Pipeline;

before(async () => {
  pipeline = await startPipeline([
    "gateway",
    "track-rollouts",
    "assemble-rollouts",
    "assign-credit",
    "clickhouse",
  ]);
});

after(() => pipeline?.close());

type Row = {
  readonly revision: number;
  readonly reward: number | null;
  readonly advantage: number;
};

/** Waits until ClickHouse has a revision of the rollout; its transitions of that revision. */
async function revised(rolloutId: string, revision: number): Promise<Row[]> {
  const clickhouse = clickHouseOfStack(pipeline.stack);
  let rows: Row[] = [];
  try {
    await until(
      () => `transitions are ${JSON.stringify(rows)}`,
      30_000,
      async () => {
        rows = await rowsOf<Row>(
          clickhouse,
          `SELECT toInt64(revision) AS revision, reward, advantage FROM latest_transitions
           WHERE rollout_id = {rolloutId:String}`,
          { rolloutId },
        );
        return rows.some((row) => row.revision === revision);
      },
    );
    return rows;
  } finally {
    await clickhouse.close();
  }
}

test("a reward within the grace rewrites the transitions of its rollout, one behind it does not", async () => {
  const credit = { strategy: "final-reward" };
  await pipeline.ask("PUT", "/settings", { credit, grace_seconds: 4 });
  const { rolloutId, attempt } = await pipeline.startOne({ input: "task" });
  await pipeline.ask("POST", `${attempt}/end`, { status: "succeeded" });
  assert.deepEqual(await revised(rolloutId, 0), [{ revision: 0, reward: null, advantage: 0 }]);
  await pipeline.ask("POST", `${attempt}/rewards`, { value: 0.75 });
  const second = { revision: 1, reward: 0.75, advantage: 0.75 };
  assert.deepEqual(await revised(rolloutId, 1), [second]);
  await new Promise((resolve) => setTimeout(resolve, 4000));
  await pipeline.ask("POST", `${attempt}/rewards`, { value: 0.25 });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.deepEqual(await revised(rolloutId, 1), [second]);
});
