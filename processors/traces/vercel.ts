import { type Attributed, jsonOf, listOf, textOf } from "./attributes.ts";
import { objectMessage, type Said } from "./messages.ts";
import { isForeignPart } from "./parts.ts";

/**
 * What the Vercel AI SDK says a model generated (https://ai-sdk.dev/docs/ai-sdk-core/telemetry):
 * text, tool calls, reasoning or an object, each in an attribute of its own. There is one choice.
 */
export function vercelChoice(of: Attributed): ReadonlyMap<number, Said> {
  const text = textOf(of, ["ai.response.text", "ai.result.text"]);
  const object = textOf(of, ["ai.response.object", "ai.result.object"]);
  const reasoning = textOf(of, ["ai.response.reasoning"]);
  const calls = listOf(jsonOf(of, ["ai.response.toolCalls", "ai.result.toolCalls"]));
  const said = text === null || text === "" ? object : text;
  const parts = [
    ...(reasoning === null || reasoning === "" ? [] : [{ type: "reasoning", text: reasoning }]),
    ...(said === null ? [] : [{ type: "text", text: said }]),
    ...calls.map((call) => ({ ...(call as object), type: "tool-call" })).filter(isForeignPart),
  ];
  const [message] = objectMessage({ role: "assistant", parts });
  return message === undefined ? new Map() : new Map([[0, { message, finish: null }]]);
}
