import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { test } from "node:test";
import type { ChatCompletionCreateParams } from "openai/resources";
import { bookRoom } from "./agent.ts";
import { listRooms } from "./rooms.ts";

const request = "Find a room for 4 people at 10:00 with a projector";

const call = (id: string, json: string) => ({
  role: "assistant",
  content: null,
  tool_calls: [{ id, type: "function", function: { name: "list_rooms", arguments: json } }],
});
const say = (content: string | null) => ({ role: "assistant", content });

/** An engine that answers with these messages in turn, and keeps what it was asked. */
async function engine(messages: readonly object[]) {
  const asked: ChatCompletionCreateParams[] = [];
  const server: Server = createServer((incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part) => parts.push(part));
    incoming.on("end", () => {
      asked.push(JSON.parse(Buffer.concat(parts).toString()));
      const message = messages[Math.min(asked.length, messages.length) - 1];
      outgoing.setHeader("content-type", "application/json");
      outgoing.end(
        JSON.stringify({ choices: message === undefined ? [] : [{ index: 0, message }] }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const model = { baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "unused", model: "any" };
  const book = async () => {
    try {
      return await bookRoom(request, model);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };
  return { asked, book };
}

test("the tool's answer goes back to the model, and its text is the answer", async () => {
  const { asked, book } = await engine([call("a", '{"time":"10:00"}'), say("cedar")]);
  assert.deepEqual(await book(), { lookedUpHour: 10, answer: "cedar" });
  const [first, second] = asked;
  assert.deepEqual(
    first?.messages.map(({ role }) => role),
    ["system", "user"],
  );
  assert.equal(first?.messages[1]?.content, request);
  const told = second?.messages.at(-1);
  assert.deepEqual(told, { role: "tool", tool_call_id: "a", content: listRooms(10) });
});

test("what the model is asked depends on the request and the tool alone", async () => {
  const ask = async () => {
    const { asked, book } = await engine([call("a", '{"time":"10:00"}'), say("oak")]);
    await book();
    return asked;
  };
  assert.deepEqual(await ask(), await ask());
});

test("arguments that make no sense are answered, not thrown", async () => {
  for (const json of ["", "{", "null", "[]", "7", '{"time":"23:59"}', '{"time":10}']) {
    const { asked, book } = await engine([call("a", json), say("cedar")]);
    assert.deepEqual(await book(), { lookedUpHour: null, answer: "cedar" }, json);
    assert.equal(asked[1]?.messages.at(-1)?.content, "No such time.");
  }
});

test("a model that only calls tools is given up, one that says nothing answered nothing", async () => {
  const endless = await engine([call("a", '{"time":"9:00"}')]);
  assert.deepEqual(await endless.book(), { lookedUpHour: 9, answer: "" });
  assert.equal(endless.asked.length, 4);
  assert.deepEqual(await (await engine([say(null)])).book(), { lookedUpHour: null, answer: "" });
  assert.deepEqual(await (await engine([])).book(), { lookedUpHour: null, answer: "" });
});
