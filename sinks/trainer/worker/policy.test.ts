import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeChat } from "./chat.ts";
import { backward, createPolicy, decide, generate, load, serialize } from "./policy.ts";
import { readPrompt } from "./prompt.ts";
import { seededRandom } from "./random.ts";
import type { ChatMessage, Tool } from "./request.ts";
import { decodeText } from "./tokenizer.ts";
import { markId } from "./vocabulary.ts";

const lookUp: Tool = {
  function: {
    name: "list_rooms",
    parameters: { properties: { time: { type: "string", enum: ["9:00", "10:00", "11:00"] } } },
  },
};
const listing = "Rooms:\ncedar: seats 4, free, phone\noak: seats 12, booked, camera";
const conversation: ChatMessage[] = [
  { role: "user", content: "A room for 4 people at 10:00 with a phone" },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ function: { name: "list_rooms", arguments: '{"time":"10:00"}' } }],
  },
  { role: "tool", content: listing },
];
const prompt = readPrompt(encodeChat(conversation, [lookUp]));

test("the distribution is over what the grammar allows, and sums to 1", () => {
  const policy = createPolicy(1);
  for (const response of [[], [markId("<say>")], [markId("<call>")]]) {
    const decision = decide(policy, prompt, response);
    const total = decision?.logProbs.reduce((sum, l) => sum + Math.exp(l), 0) ?? 0;
    assert.ok(Math.abs(total - 1) < 1e-12);
  }
});

test("a fresh policy is close to uniform: it knows nothing", () => {
  const decision = decide(createPolicy(7), prompt, [markId("<say>")]);
  const uniform = -Math.log(decision?.allowed.length ?? 0);
  for (const logProb of decision?.logProbs ?? []) assert.ok(Math.abs(logProb - uniform) < 0.7);
});

test("every response is a call of a declared function or one word of what was said, then the end", () => {
  fc.assert(
    fc.property(fc.integer(), fc.double({ min: 0, max: 2, noNaN: true }), (seed, temperature) => {
      const policy = createPolicy(seed);
      const { ids, logprobs } = generate(policy, prompt, temperature, seededRandom(seed));
      const text = decodeText(ids);
      assert.match(text, /^(<call>list_rooms (9|10|11):00|<say>[A-Za-z]+)<end>$/);
      assert.equal(logprobs.length, ids.length);
      if (text.startsWith("<say>")) assert.ok(listing.includes(text.slice(5, -5)));
    }),
  );
});

test("the log-probs of a response are those the policy gives it, at any temperature", () => {
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom(0, 0.5, 1, 2), (seed, temperature) => {
      const policy = createPolicy(3);
      const { ids, logprobs } = generate(policy, prompt, temperature, seededRandom(seed));
      ids.forEach((id, t) => {
        const decision = decide(policy, prompt, ids.slice(0, t));
        assert.equal(logprobs[t], decision?.logProbs[decision.allowed.indexOf(id)]);
      });
    }),
  );
});

test("backward is the derivative: finite differences agree", () => {
  const policy = createPolicy(5);
  const response = [markId("<say>")];
  const decision = decide(policy, prompt, response);
  assert.ok(decision);
  const taken = decision.allowed.length - 1;
  const gradient = new Float64Array(policy.weights.length);
  const byScore = decision.logProbs.map((l, k) => Math.exp(l) - (k === taken ? 1 : 0));
  backward(decision, byScore, gradient);
  const lossAt = (index: number, weight: number): number => {
    const weights = Float32Array.from(policy.weights);
    weights[index] = weight;
    return -(decide({ weights }, prompt, response)?.logProbs[taken] ?? 0);
  };
  const touched = [...new Set(decision.features.flatMap(({ at }) => at))];
  for (const index of touched) {
    const weight = policy.weights[index] ?? 0;
    // What float32 makes of the step is what the difference is divided by.
    const [less, more] = [Math.fround(weight - 1e-3), Math.fround(weight + 1e-3)];
    const numeric = (lossAt(index, more) - lossAt(index, less)) / (more - less);
    assert.ok(Math.abs(numeric - (gradient[index] ?? 0)) < 1e-4, `weight ${index}`);
  }
});

test("weights survive the blob bit for bit, and it is small", () => {
  const policy = createPolicy(11);
  const blob = serialize(policy);
  assert.deepEqual(load(blob).weights, policy.weights);
  assert.ok(blob.length < 200_000);
});

test("a blob that is not weights is refused with what is wrong", () => {
  const blob = serialize(createPolicy(1));
  assert.throws(() => load(Buffer.from("nonsense")), /must be LSP1/);
  assert.throws(() => load(blob.subarray(0, 100)), /100 bytes/);
});
