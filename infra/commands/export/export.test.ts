import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { packFloat32, packInt32 } from "../../../schemas/bytes.ts";
import type { TransitionRecorded } from "../../../schemas/types.ts";
import { rowsOf } from "../../../sinks/clickhouse/client.ts";
import { transition } from "../../../sinks/clickhouse/test-records/credit.ts";
import { kinds, readExportOptions } from "./options.ts";
import { type ExportBench, type Line, openExportBench, said, wrong } from "./testing.ts";

let bench: ExportBench;
before(async () => {
  bench = await openExportBench();
});
after(() => bench.close());

describe("what is exported", () => {
  test("every kind has exactly the fields its help explains, in JSONL and in Parquet", async () => {
    await bench.group("shapes", "g", [
      { ...said(["Hello"], "good"), rollout_reward: 1, tools: '[{"type":"function"}]' },
      { ...said(["Hello"], "bad"), rollout_reward: 0 },
    ]);
    for (const [name, kind] of Object.entries(kinds)) {
      const args = [name, "--provenance"];
      const [line] = await bench.exported("shapes", args);
      const columns = kind.columns(readExportOptions(args, 0).shape);
      assert.deepEqual(
        Object.keys(line ?? {}),
        columns.map((column) => column.name),
        name,
      );
      const out = bench.path(`${name}.parquet`);
      await bench.run("shapes", [...args, "--out", out]);
      assert.deepEqual(readdirSync(out), ["part-00000.parquet"]);
      const stored = await rowsOf<{ name: string }>(
        bench.client,
        `DESCRIBE file('${out}/part-00000.parquet', Parquet)`,
      );
      assert.deepEqual(
        stored.map((column) => column.name),
        Object.keys(line ?? {}),
        name,
      );
    }
  });

  test("Parquet holds the numbers and messages that JSONL does", async () => {
    const lines = await bench.exported("shapes", ["rows"]);
    const rows = await rowsOf<Line>(
      bench.client,
      `SELECT rollout_id, prompt_ids, response_ids, response_mask, response_logprobs, reward_score
       FROM file('${bench.path("rows.parquet")}/*.parquet', Parquet) ORDER BY rollout_id`,
    );
    assert.equal(rows.length, 2);
    for (const [i, row] of rows.entries()) {
      for (const [name, value] of Object.entries(row)) assert.deepEqual(value, lines[i]?.[name]);
    }
    assert.deepEqual(rows[0]?.response_logprobs, [-0.5, null]);
    const [pair] = await rowsOf<Line>(
      bench.client,
      `SELECT prompt.content AS prompt, chosen.content AS chosen, rejected.role AS rejected, tools
       FROM file('${bench.path("preferences.parquet")}/*.parquet', Parquet)`,
    );
    assert.deepEqual(pair, {
      prompt: ["Hello"],
      chosen: ["good"],
      rejected: ["assistant"],
      tools: '[{"type":"function"}]',
    });
  });

  test("groups come whole, in their newest closed revision, and open ones not at all", async () => {
    await bench.group("revised", "a", [{ advantage: 1 }, { advantage: -1 }]);
    await bench.group("revised", "a", [{ advantage: 3, revision: 1 }], { revision: 1 });
    await bench.write([transition({ project: "revised", group_id: "open", rollout_id: "open-0" })]);
    const lines = await bench.exported("revised", ["transitions"]);
    assert.deepEqual(
      lines.map(({ rollout_id, advantage, revision }) => [rollout_id, advantage, revision]),
      [["a-0", 3, 1]],
    );
  });

  test("filters take what they say, bounds included, and no reward is no number", async () => {
    const hour = 3_600_000_000;
    const member = (reward: number | null, version: number | null, agent: string, at: number) => ({
      rollout_reward: reward,
      policy_version: version,
      agent,
      policy: agent,
      mode: agent === "critic" ? null : "train",
      ended_at: at * hour,
    });
    await bench.group("filtered", "g", [
      member(0, 1, "writer", 1),
      member(0.5, 2, "writer", 2),
      member(1, 3, "critic", 3),
      member(null, null, "planner", 4),
    ]);
    const found = async (...args: string[]): Promise<string> => {
      const lines = await bench.exported("filtered", ["transitions", ...args]);
      return lines.map(({ rollout_id }) => String(rollout_id).slice(2)).join("");
    };
    assert.equal(await found(), "0123");
    assert.equal(await found("--min-reward", "0.5"), "12");
    assert.equal(await found("--max-reward", "0.5"), "01");
    assert.equal(await found("--policy-version", "2..3"), "12");
    assert.equal(await found("--policy-version", "3"), "2");
    assert.equal(await found("--policy-version", "..2"), "01");
    assert.equal(await found("--agent", "^(wri|plan)"), "013");
    assert.equal(await found("--policy", "critic"), "2");
    assert.equal(await found("--mode", "train"), "013");
    const [two, four] = ["1970-01-01T02:00:00Z", "1970-01-01T04:00"];
    assert.equal(await found("--since", two, "--until", four), "12");
    assert.equal(await found("--limit", "3"), "012");
    assert.equal(await found("--min-reward", "7"), "");
    await assert.rejects(found("--agent", "("), wrong(/--agent is "\(".*RE2/));
  });

  test("a rollout's turns become one row with the policy's own tokens under the mask", async () => {
    const turn = (step: number, prompt: number[], answer: number[]) => ({
      rollout_id: "talk",
      step_index: step,
      step_count: 2,
      prompt_ids: packInt32(prompt),
      response_ids: packInt32(answer),
      logprobs: packFloat32(answer.map(() => -0.5)),
      loss_mask: Uint8Array.from(answer.map(() => 1)),
    });
    await bench.group("merged", "g", [turn(0, [1, 2], [3]), turn(1, [1, 2, 3, 4], [5, 6])]);
    const [verl] = await bench.exported("merged", ["rows", "--level", "trajectory"]);
    assert.deepEqual(
      [verl?.prompt_ids, verl?.response_ids, verl?.response_mask, verl?.response_logprobs],
      [
        [1, 2],
        [3, 4, 5, 6],
        [1, 0, 1, 1],
        [-0.5, 0, -0.5, -0.5],
      ],
    );
    assert.equal(verl?.uid, "g");
    const trl = await bench.exported("merged", ["rows", "--style", "trl"]);
    assert.deepEqual(
      trl.map(({ prompt_ids, completion_ids, env_mask }) => [prompt_ids, completion_ids, env_mask]),
      [
        [[1, 2], [3], [1]],
        [
          [1, 2, 3, 4],
          [5, 6],
          [1, 1],
        ],
      ],
    );
  });
});

describe("messages and preferences", () => {
  const step = (values: Partial<TransitionRecorded>, step_index: number) => ({
    rollout_id: "talk",
    step_index,
    ...values,
  });

  test("a conversation stands once at trajectory level, whatever goes on beside it", async () => {
    await bench.group("talks", "g", [
      step(said(["a"], "b"), 0),
      step(said(["other"], "aside"), 1),
      step(said(["a", "b", "c"], "d"), 2),
      step({ ...said(["x"], ""), finish_reason: "length" }, 3),
    ]);
    const texts = (lines: readonly Line[]) =>
      lines.map(({ messages }) => (messages as Line[]).map(({ content }) => content).join(""));
    assert.deepEqual(texts(await bench.exported("talks", ["messages"])), [
      "ab",
      "otheraside",
      "abcd",
    ]);
    const whole = await bench.exported("talks", ["messages", "--level", "trajectory"]);
    assert.deepEqual(texts(whole), ["otheraside", "abcd"]);
    assert.deepEqual(Object.keys(whole[0] ?? {}), ["messages"]);
  });

  test("pairs are the best with the worst, from where the model chose differently", async () => {
    const member = (answer: string, reward: number | null) => ({
      ...said(["q", "same", "more"], answer),
      rollout_reward: reward,
    });
    await bench.group("pairs", "g", [
      member("middling", 0.5),
      member("worst", 0),
      member("best", 1),
      member("unknown", null),
      member("good", 0.6),
    ]);
    await bench.group("pairs", "equal", [member("one", 1), member("two", 1)]);
    const asked = { ...said(["another question"], "x"), rollout_reward: 1 };
    await bench.group("pairs", "strangers", [asked, member("y", 0)]);
    const view = (lines: readonly Line[]) =>
      lines.map(({ prompt, chosen, rejected, score_chosen, score_rejected }) => [
        (prompt as Line[]).length,
        (chosen as Line[]).map(({ content }) => content).join(),
        (rejected as Line[]).map(({ content }) => content).join(),
        score_chosen,
        score_rejected,
      ]);
    assert.deepEqual(view(await bench.exported("pairs", ["preferences"])), [
      [3, "best", "worst", 1, 0],
    ]);
    assert.deepEqual(view(await bench.exported("pairs", ["preferences", "--pairs", "9"])), [
      [3, "best", "worst", 1, 0],
      [3, "good", "middling", 0.6, 0.5],
    ]);
    const apart = await bench.exported("pairs", ["preferences", "--pairs", "9", "--margin", "0.2"]);
    assert.equal(apart.length, 1);
  });
});
