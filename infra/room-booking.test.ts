import assert from "node:assert/strict";
import { test } from "node:test";
import { bookRoom, system, tools } from "../producers/examples/room-booking/agent.ts";
import { grade } from "../producers/examples/room-booking/grade.ts";
import { hours, listRooms, timeOf } from "../producers/examples/room-booking/rooms.ts";
import { generateTasks, type Task } from "../producers/examples/room-booking/tasks.ts";
import { encodeChat } from "../sinks/trainer/worker/chat.ts";
import { createOptimizer, type TrainingRow, trainStep } from "../sinks/trainer/worker/learn.ts";
import { createPolicy, generate, type Policy } from "../sinks/trainer/worker/policy.ts";
import { readPrompt } from "../sinks/trainer/worker/prompt.ts";
import { type Random, seededRandom } from "../sinks/trainer/worker/random.ts";
import type { ChatMessage, Tool } from "../sinks/trainer/worker/request.ts";
import { buildModelServer } from "../sinks/trainer/worker/serve.ts";
import { decodeText, encodeText } from "../sinks/trainer/worker/tokenizer.ts";
import { byteOf, markId } from "../sinks/trainer/worker/vocabulary.ts";

const say = markId("<say>");
const declared: Tool[] = tools.flatMap((each) =>
  each.type === "function" ? [{ function: each.function as Tool["function"] }] : [],
);

type Episode = { readonly rows: Omit<TrainingRow, "advantage">[]; readonly reward: number };

/** What the agent and the server do together, without the HTTP between them. */
function play(policy: Policy, task: Task, temperature: number, random: Random): Episode {
  const messages: ChatMessage[] = [
    { role: "system", content: system },
    { role: "user", content: task.request },
  ];
  const rows: Episode["rows"] = [];
  let lookedUpHour: number | null = null;
  for (let call = 0; call < 4; call++) {
    const promptIds = encodeChat(messages, declared);
    const { ids, logprobs } = generate(policy, readPrompt(promptIds), temperature, random);
    rows.push({ promptIds, responseIds: ids, logprobs });
    const [first, name = 0, value = 0] = ids;
    if (first === say) {
      return { rows, reward: grade(task, { lookedUpHour, answer: decodeText([name]) }) };
    }
    const time = decodeText([value]);
    lookedUpHour = hours.find((hour) => timeOf(hour) === time) ?? null;
    const json = JSON.stringify({ time });
    const asked = { function: { name: decodeText([name]), arguments: json } };
    messages.push({ role: "assistant", content: null, tool_calls: [asked] });
    messages.push({ role: "tool", content: listRooms(lookedUpHour ?? 0) });
  }
  return { rows, reward: 0 };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** A group of rollouts of one task, its advantages relative to the group (GRPO). */
function playGroup(policy: Policy, task: Task, scale: number, random: Random): TrainingRow[] {
  const group = Array.from({ length: 8 }, () => play(policy, task, 1, random));
  const middle = mean(group.map(({ reward }) => reward));
  const spread = Math.sqrt(mean(group.map(({ reward }) => (reward - middle) ** 2))) + 1e-6;
  return group.flatMap(({ rows, reward }) =>
    rows.map((row) => ({ ...row, advantage: (scale * (reward - middle)) / spread })),
  );
}

/** Mean held-out reward of the greedy policy before, and after so many rollouts. */
function train(seed: number, rollouts: number, scale: number): { first: number; last: number } {
  const random = seededRandom(seed);
  const policy = createPolicy(seed);
  const optimizer = createOptimizer(policy);
  const tasks = generateTasks(seed, 400, 100);
  const heldOut = () => mean(tasks.heldOut.map((task) => play(policy, task, 0, random).reward));
  const first = heldOut();
  for (let done = 0; done < rollouts; done += 32) {
    const chosen = Array.from({ length: 4 }, () => Math.floor(random() * tasks.train.length));
    const rows = chosen.flatMap((at) => {
      const task = tasks.train[at];
      return task === undefined ? [] : playGroup(policy, task, scale, random);
    });
    trainStep(policy, optimizer, rows);
  }
  return { first, last: heldOut() };
}

test("a random policy learns to book rooms from rewards alone", () => {
  const { first, last } = train(4, 2_000, 1);
  assert.ok(first < 0.45, `began at ${first}`);
  assert.ok(last > 0.85, `ended at ${last}`);
});

test("with every advantage nought it stays where it was", () => {
  const { first, last } = train(4, 500, 0);
  assert.ok(first < 0.45 && last < 0.45, `${first} to ${last}`);
});

test("the model has a token for every word of the example", () => {
  const { train: all } = generateTasks(1, 10_000, 0);
  const texts = [system, listRooms(10), ...all.map(({ request }) => request)];
  for (const text of texts) assert.ok(encodeText(text).every((id) => byteOf(id) === undefined));
});

test("a later prompt begins with the earlier prompt and response, token for token", () => {
  const { train: all } = generateTasks(1, 40, 0);
  const random = seededRandom(9);
  for (const task of all) {
    const { rows } = play(createPolicy(1), task, 1, random);
    rows.slice(1).forEach((row, i) => {
      const before = [
        ...Array.from(rows[i]?.promptIds ?? []),
        ...Array.from(rows[i]?.responseIds ?? []),
      ];
      assert.deepEqual(Array.from(row.promptIds).slice(0, before.length), before);
    });
  }
});

test("the agent talks to the served model over HTTP", async () => {
  const served = { policy: createPolicy(1), version: 1 };
  const app = buildModelServer({ served, model: "room-booker", random: seededRandom(2) });
  try {
    const baseURL = `${await app.listen({ port: 0, host: "127.0.0.1" })}/v1`;
    const model = { baseURL, apiKey: "unused", model: "room-booker" };
    const { train: all } = generateTasks(1, 20, 0);
    const outcomes = await Promise.all(all.map(({ request }) => bookRoom(request, model)));
    assert.ok(outcomes.some(({ lookedUpHour }) => lookedUpHour !== null));
    assert.ok(outcomes.some(({ answer }) => answer !== ""));
  } finally {
    await app.close();
  }
});
