import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventTriplets, type GatewayEvent, lastReward, tripletView } from "./events.ts";

type Fields = Readonly<Record<string, unknown>>;

const request = (response: unknown, more: Fields = {}): GatewayEvent => ({
  event_type: "model_request",
  data: { response, server: { model: "m", version: 3, endpoint: "e" }, latency_ms: 1, ...more },
});

const answered = (prompt: readonly number[], tokens: readonly number[], id?: string) =>
  request({
    ...(id !== undefined && { id }),
    prompt_token_ids: prompt,
    choices: [{ token_ids: tokens }],
  });

const reward = (value: unknown): GatewayEvent => ({ event_type: "reward", data: { value, x: 1 } });

const viewed = (event: GatewayEvent): Fields => {
  const [only] = tripletView([event]);
  assert.ok(only !== undefined);
  return only.data;
};

test("requests are reduced to tokens, log-probs and server, rewards to their value", () => {
  const choice = { token_ids: [3], logprobs: { content: [{ token: "a", logprob: -0.5 }] } };
  const event = request(
    { prompt_token_ids: [1], choices: [choice] },
    { http_status: 200, status: "ok" },
  );
  assert.deepEqual(viewed(event), {
    prompt_token_ids: [1],
    response_token_ids: [3],
    response_log_probs: [-0.5],
    server: { model: "m", version: 3 },
    http_status: 200,
    status: "ok",
  });
  assert.deepEqual(viewed(reward(0.5)), { value: 0.5 });
  const note = { event_type: "note", data: { a: 1 } };
  assert.deepEqual(viewed(note), { a: 1 });
});

test("prompt ids of the first choice stand in for those of the response", () => {
  const event = request({
    prompt_token_ids: [],
    choices: [{ prompt_token_ids: [7], token_ids: [8] }],
  });
  assert.deepEqual(viewed(event).prompt_token_ids, [7]);
});

test("chunks of an old stream are put together, without log-probs", () => {
  const chunks = [
    { prompt_token_ids: [1], choices: [{ token_ids: [2] }] },
    { prompt_token_ids: [9], choices: [{ token_ids: [3, 4] }] },
    {},
  ];
  const { prompt_token_ids, response_token_ids, response_log_probs } = viewed(request(chunks));
  assert.deepEqual(
    [prompt_token_ids, response_token_ids, response_log_probs],
    [[1], [2, 3, 4], null],
  );
});

for (const bad of [null, "x", Number.POSITIVE_INFINITY, undefined, {}]) {
  test(`one log-prob of ${typeof bad} ${String(bad)} makes all of them unknown`, () => {
    const logprobs = { token_logprobs: [-0.5, bad] };
    assert.equal(
      viewed(request({ choices: [{ token_ids: [1, 2], logprobs }] })).response_log_probs,
      null,
    );
  });
}

const samples = [answered([1], [2], "a"), answered([1], [3], "b"), answered([1], [2], "a")];

test("of requests with one prompt the last counts, as in the reference", () => {
  const view = tripletView(samples);
  assert.deepEqual(
    view.map(({ data }) => data.response_token_ids),
    [[2]],
  );
});

test("by call identity every sample of one prompt stays, and a response sent twice counts once", () => {
  const view = tripletView(samples, "call");
  assert.deepEqual(
    view.map(({ data }) => data.response_token_ids),
    [[3], [2]],
  );
  assert.equal(tripletView([answered([1], [2]), answered([1], [2])], "call").length, 2);
});

test("the last turn carries the last reward, when that is a number", () => {
  const turns = [answered([1], [2]), reward(1), answered([1, 2], [3]), reward(0.25)];
  const rewards = (events: readonly GatewayEvent[]) =>
    eventTriplets(tripletView(events)).map((triplet) => triplet.reward);
  assert.deepEqual(rewards(turns), [null, 0.25]);
  assert.deepEqual(rewards([...turns, reward(true)]), [null, null]);
  assert.deepEqual(rewards([...turns, reward(0)]), [null, 0]);
  assert.equal(lastReward([]), null);
});

test("failed requests and those without tokens are no turns", () => {
  const events = [
    request({ prompt_token_ids: [1], choices: [{ token_ids: [2] }] }, { http_status: 500 }),
    request({ prompt_token_ids: [2], choices: [{ token_ids: [2] }] }, { status: "error" }),
    request({ prompt_token_ids: [3], choices: [{ token_ids: [] }] }),
    request({ prompt_token_ids: [4], choices: [{ token_ids: null }] }),
    answered([5], [6]),
  ];
  const triplets = eventTriplets(tripletView(events));
  assert.deepEqual(
    triplets.map(({ prompt }) => prompt.token_ids),
    [[5]],
  );
});

test("no event makes the view throw, and only model requests ever go", () => {
  const data = fc.dictionary(
    fc.constantFrom("response", "server", "value", "status", "http_status"),
    fc.anything({ maxDepth: 4 }),
  );
  const response = fc.record({
    prompt_token_ids: fc.anything(),
    choices: fc.array(fc.record({ token_ids: fc.anything(), logprobs: fc.anything() })),
  });
  const event = fc.record({
    event_type: fc.constantFrom("model_request", "reward", "note"),
    data: fc.oneof(
      data,
      response.map((value) => ({ response: value })),
    ),
  });
  fc.assert(
    fc.property(fc.array(event), fc.constantFrom("prompt", "call"), (events, dedup) => {
      const view = tripletView(events, dedup);
      eventTriplets(view);
      const others = ({ event_type }: GatewayEvent) => event_type !== "model_request";
      assert.equal(view.filter(others).length, events.filter(others).length);
    }),
  );
});
