import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { recipes } from "../../producers/examples/two-agents/recipes.ts";
import { rowsOf } from "../../sinks/clickhouse/client.ts";
import {
  clickHouseOfStack,
  freePort,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";
import { startTrainerProcess } from "./training.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = "producers/examples/two-agents/run.ts";

/** Three tasks, each tried so often: a rollout has two calls of the writer, one of the critic, one of the judge. */
const tries = 4;
const rollouts = 3 * tries;

let stack: Stack;
let pipeline: RoleProcess;
let trainer: RoleProcess;
let said = "";

before(async () => {
  stack = await startStack();
  const [port, trainerPort] = [await freePort(), await freePort()];
  pipeline = startRoleProcess(
    stack,
    ["gateway", "track-rollouts", "assemble-rollouts", "assign-credit", "clickhouse"],
    { args: ["--port", String(port)] },
  );
  trainer = startTrainerProcess(stack, trainerPort);
  await Promise.all([pipeline.ready(), trainer.ready()]);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      ...["--import", "tsx", program, "--tries", String(tries)],
      ...["--gateway", `http://127.0.0.1:${port}`],
      ...["--trainer", `http://127.0.0.1:${trainerPort}`],
    ],
    { cwd: root, timeout: 150_000 },
  );
  said = stdout;
  // The program waits for its transitions in ClickHouse, not for what the trainer wrote of them.
  const acknowledged = Object.values(recipes).flatMap(({ selection }) => selection.agents).length;
  let trained = 0;
  await until(
    () => `${trained} acknowledgements in ClickHouse`,
    30_000,
    async () => {
      const query = `SELECT toInt64(uniqExact(project, worker_id)) AS n FROM batches
        WHERE event = 'trained' AND (project, resources_id, resources_version) IN
          (SELECT project, resources_id, version FROM resources)`;
      trained = (await ask<{ n: number }>(query, ""))[0]?.n ?? 0;
      return trained === acknowledged;
    },
  );
});

after(async () => {
  await trainer?.stop();
  await pipeline?.stop();
  await stack?.close();
});

async function ask<T>(query: string, project: string): Promise<T[]> {
  const client = clickHouseOfStack(stack);
  try {
    return await rowsOf<T>(client, query, { project });
  } finally {
    await client.close();
  }
}

/** Rows of `transitions` by agent and policy. */
function transitionsOf(project: string): Promise<unknown[]> {
  return ask(
    `SELECT agent, policy, toInt64(count()) AS rows, toInt64(uniqExact(rollout_id)) AS rollouts
     FROM transitions WHERE project = {project:String} GROUP BY agent, policy ORDER BY agent`,
    project,
  );
}

function omittedOf(project: string): Promise<unknown[]> {
  return ask(
    `SELECT reason, agent, toInt64(count()) AS calls FROM omitted_calls
     WHERE project = {project:String} GROUP BY reason, agent ORDER BY reason`,
    project,
  );
}

/** Rows that workers acknowledged, by the policy they trained. */
function trainedBy(project: string): Promise<unknown[]> {
  return ask(
    `SELECT worker_id AS policy, toInt64(sum(transitions)) AS rows FROM batches
     WHERE project = {project:String} AND event = 'trained' GROUP BY policy ORDER BY policy`,
    project,
  );
}

const ofWriter = { agent: "writer", policy: "writer", rows: 2 * rollouts, rollouts };
const ofCritic = { agent: "critic", policy: "critic", rows: rollouts, rollouts };

describe("a writer and a critic", () => {
  test("of which only the writer is trained give rows of the writer alone, and say why no others", async () => {
    const { project } = recipes.writer;
    assert.deepEqual(await transitionsOf(project), [ofWriter]);
    assert.deepEqual(await omittedOf(project), [
      { reason: "judge", agent: "", calls: rollouts },
      { reason: "not-selected", agent: "critic", calls: rollouts },
    ]);
    assert.deepEqual(await trainedBy(project), [{ policy: "writer", rows: 2 * rollouts }]);
  });

  test("of which both are trained give each policy its own rows of the same rollouts", async () => {
    const { project } = recipes.both;
    assert.deepEqual(await transitionsOf(project), [ofCritic, ofWriter]);
    assert.deepEqual(await omittedOf(project), [{ reason: "judge", agent: "", calls: rollouts }]);
    assert.deepEqual(await trainedBy(project), [
      { policy: "critic", rows: rollouts },
      { policy: "writer", rows: 2 * rollouts },
    ]);
  });

  test("share the advantage of their rollout, which sums to nought over a group", async () => {
    const spread = await ask<{ policy: string; advantages: number; sum: number }>(
      `SELECT policy, toInt64(uniqExact(rollout_id, round(advantage, 9)) - uniqExact(rollout_id)) AS advantages,
         toInt64(round(sum(advantage), 6)) AS sum
       FROM transitions WHERE project = {project:String} GROUP BY policy ORDER BY policy`,
      recipes.both.project,
    );
    assert.deepEqual(spread, [
      { policy: "critic", advantages: 0, sum: 0 },
      { policy: "writer", advantages: 0, sum: 0 },
    ]);
    const [any] = await ask<{ largest: number }>(
      "SELECT max(advantage) AS largest FROM transitions WHERE project = {project:String}",
      recipes.both.project,
    );
    assert.ok((any?.largest ?? 0) > 0.5, `largest advantage ${any?.largest}`);
  });

  test("change only the prompts of the policies that were trained", async () => {
    const prompts = (project: string) =>
      ask<{ name: string; changed: number }>(
        `SELECT resource.name AS name, toInt64(uniqExact(resource.json) - 1) AS changed
         FROM (SELECT arrayJoin(resources) AS resource FROM resources WHERE project = {project:String})
         GROUP BY name ORDER BY name`,
        project,
      );
    assert.deepEqual(await prompts(recipes.writer.project), [
      { name: "critic", changed: 0 },
      { name: "writer", changed: 1 },
    ]);
    assert.deepEqual(await prompts(recipes.both.project), [
      { name: "critic", changed: 1 },
      { name: "writer", changed: 1 },
    ]);
  });

  test("are told about in words", () => {
    assert.match(said, new RegExp(`${2 * rollouts} transitions of writer for the policy writer`));
    assert.match(said, new RegExp(`${rollouts} calls of critic gave none: not-selected`));
    assert.match(said, new RegExp(`critic was trained on ${rollouts} rows`));
  });
});
