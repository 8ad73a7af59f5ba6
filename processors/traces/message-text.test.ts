import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { messagesText } from "./message-text.ts";
import type { Message } from "./messages.ts";
import { toolCall, toolCallText } from "./tools.ts";

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom('"', "\\", "\n", "\u007f", "\u2028", "\ud800", "\udc00", "é"),
  }),
  fc.string(),
);
const content = fc.oneof(text, fc.constant(null), fc.array(fc.record({ text }), { maxLength: 2 }));
const message = fc.oneof(
  fc.record({ role: text, content }),
  fc.record({ content, role: text }),
  fc.record({ role: text, content, tool_call_id: text }),
);

test("the text of messages is what JSON.stringify writes", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), (messages: Message[]) => {
      assert.equal(messagesText(messages), JSON.stringify(messages));
    }),
    { numRuns: 2000 },
  );
});

test("so is that of a tool call", () => {
  fc.assert(
    fc.property(text, text, text, (id, name, given) => {
      const call = toolCall(id, name, given);
      assert.equal(toolCallText(call), JSON.stringify(call));
    }),
  );
});
