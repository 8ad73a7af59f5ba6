import { answerTo } from "../../errors.ts";
import type { StreamWriter } from "../dialect.ts";
import { firstChoice, type Json, listOf, objectOf, textOf, thoughtOf } from "../reading.ts";
import { callItem, endOf, messageItem, reasoningItem, responseWith } from "./answer.ts";

/** An item that has begun and not ended: what it is with the text it has so far. */
type Open = {
  readonly kind: "reasoning" | "text" | "call";
  /** Index of the tool call; -1 for others. */
  readonly tool: number;
  readonly made: (text: string) => Json;
  text: string;
};

/** Names of the events of an item's text. */
const textEvents = {
  reasoning: "response.reasoning_text",
  text: "response.output_text",
  call: "response.function_call_arguments",
} as const;

/**
 * A chat completion's chunks as events of a response
 * (https://platform.openai.com/docs/api-reference/responses-streaming), each as soon as it came: items
 * of reasoning, message and calls in the order in which the engine begins them.
 */
export function responseStream(asked: Json): StreamWriter {
  const output: Json[] = [];
  let number = 0;
  let head: Json | null = null;
  let open: Open | null = null;
  let broken = false;
  let finish: unknown = null;
  let usage: unknown = null;

  function begin(chunk: Json): Json[] {
    if (head !== null) return [];
    head = chunk;
    const response = responseWith(asked, chunk, []);
    return [
      { type: "response.created", response },
      { type: "response.in_progress", response },
    ];
  }

  /** Where an item stands, and its part, if it is made of parts. */
  function placeOf({ kind }: Open, item: Json): Json {
    const place = { item_id: item.id, output_index: output.length };
    return kind === "call" ? place : { ...place, content_index: 0 };
  }

  function close(): Json[] {
    if (open === null) return [];
    const item = open.made(open.text);
    const place = placeOf(open, item);
    const part = listOf(item.content)[0];
    const said =
      open.kind === "call" ? { arguments: open.text, name: item.name } : { text: open.text };
    const more = open.kind === "text" ? { logprobs: [] } : {};
    const events = [
      { type: `${textEvents[open.kind]}.done`, ...place, ...said, ...more },
      ...(part === undefined ? [] : [{ type: "response.content_part.done", ...place, part }]),
      { type: "response.output_item.done", output_index: output.length, item },
    ];
    output.push(item);
    open = null;
    return events;
  }

  /** What ends the item before, when this one is another, and begins it. */
  function enter(kind: Open["kind"], tool: number, made: Open["made"]): Json[] {
    if (open?.kind === kind && open.tool === tool) return [];
    const before = close();
    open = { kind, tool, made, text: "" };
    const whole = made("");
    const part = listOf(whole.content)[0];
    const item = { ...whole, status: "in_progress", ...(part !== undefined && { content: [] }) };
    const place = placeOf(open, item);
    return [
      ...before,
      { type: "response.output_item.added", output_index: output.length, item },
      ...(part === undefined ? [] : [{ type: "response.content_part.added", ...place, part }]),
    ];
  }

  function piece(delta: string): Json[] {
    if (open === null) return [];
    open.text += delta;
    const more = open.kind === "text" ? { logprobs: [] } : {};
    const place = placeOf(open, open.made(""));
    return [{ type: `${textEvents[open.kind]}.delta`, ...place, delta, ...more }];
  }

  function said(delta: Json): Json[] {
    const id = textOf(head?.id) ?? "";
    const thought = thoughtOf(delta);
    const text = textOf(delta.content);
    const events: Json[] = [];
    if (thought !== null) {
      events.push(
        ...enter("reasoning", -1, (whole) => reasoningItem(id, whole)),
        ...piece(thought),
      );
    }
    if (text !== null) {
      events.push(...enter("text", -1, (whole) => messageItem(id, whole)), ...piece(text));
    }
    return [...events, ...listOf(delta.tool_calls).flatMap(called)];
  }

  function called(value: unknown): Json[] {
    const { index, id, function: named } = objectOf(value) ?? {};
    const { name, arguments: given } = objectOf(named) ?? {};
    const tool = typeof index === "number" ? index : Math.max(0, open?.tool ?? 0);
    const begins = enter("call", tool, (whole) =>
      callItem({ id, function: { name, arguments: whole } }),
    );
    const more = textOf(given);
    return more === null ? begins : [...begins, ...piece(more)];
  }

  function written(events: readonly Json[]): Buffer | null {
    if (events.length === 0) return null;
    const lines = events.map(({ type, ...fields }) => {
      const data = JSON.stringify({ type, sequence_number: number++, ...fields });
      return `event: ${String(type)}\ndata: ${data}\n\n`;
    });
    return Buffer.from(lines.join(""));
  }

  function failure(code: string, message: string): Buffer {
    broken = true;
    return written([{ type: "error", code, message, param: null }]) ?? Buffer.alloc(0);
  }

  return {
    event(_, chunk) {
      if (chunk === null) return null;
      usage = objectOf(chunk.usage) ?? usage;
      const error = objectOf(chunk.error);
      if (error !== null) {
        return failure("server_error", textOf(error.message) ?? "the engine failed");
      }
      const choice = firstChoice(chunk);
      if (choice === null) return null;
      finish = textOf(choice.finish_reason) ?? finish;
      return written([...begin(chunk), ...said(objectOf(choice.delta) ?? {})]);
    },
    end() {
      if (broken) return null;
      const before = [...begin({}), ...close()];
      const end = endOf(finish, usage);
      const response = { ...responseWith(asked, head ?? {}, output), ...end };
      return written([...before, { type: `response.${String(end.status)}`, response }]);
    },
    failed(error) {
      const { code, message } = answerTo(error);
      return failure(code, message);
    },
  };
}
