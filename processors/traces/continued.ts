import type { Call, SpanKept } from "../../schemas/types.ts";
import { listOf, parsed } from "./attributes.ts";

/**
 * Gives calls the whole conversation their model saw: what a response continues by
 * `previous_response_id` is the messages and the answer of that response, without its instructions,
 * and so on before it (https://platform.openai.com/docs/guides/conversation-state). A response that is
 * no span of the attempt stays what it was, a reference: the content part `{type: "previous_response",
 * id}` in the place of what is not known. Calls that continue nothing come back as they are; for the
 * others linear in the text they get.
 */
export function continuing(spans: readonly SpanKept[]): (call: Call) => Call {
  let byResponse: ReadonlyMap<string, Call> | null = null;
  return (call) => {
    if (call.previous_response_id === null) return call;
    byResponse ??= callsByResponse(spans);
    const [instructions, own] = partedMessages(call);
    const messages = [...instructions, ...before(call, byResponse), ...own];
    return { ...call, messages: JSON.stringify(messages), previous_response_id: null };
  };
}

/** Of the copies of a call the first that knows its messages. */
function callsByResponse(spans: readonly SpanKept[]): Map<string, Call> {
  const found = new Map<string, Call>();
  for (const { call } of spans) {
    if (call === null || call.response_id === null) continue;
    const known = found.get(call.response_id);
    if (known === undefined || known.messages === "[]") found.set(call.response_id, call);
  }
  return found;
}

function before(call: Call, byResponse: ReadonlyMap<string, Call>): unknown[] {
  const newestFirst: unknown[][] = [];
  const met = new Set<string>();
  for (let id = call.previous_response_id; id !== null; ) {
    const previous: Call | undefined = met.has(id) ? undefined : byResponse.get(id);
    met.add(id);
    if (previous === undefined) {
      newestFirst.push([{ role: "user", content: [{ type: "previous_response", id }] }]);
      break;
    }
    newestFirst.push([...partedMessages(previous)[1], parsed(previous.completion)]);
    id = previous.previous_response_id;
  }
  return newestFirst.reverse().flat();
}

/** The instructions a call was given for itself alone, and the other messages. */
function partedMessages({ messages, instructions }: Call): [unknown[], unknown[]] {
  const all = listOf(parsed(messages));
  return [all.slice(0, instructions), all.slice(instructions)];
}
