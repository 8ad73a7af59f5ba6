import { answerTo } from "../../errors.ts";
import type { StreamWriter } from "../dialect.ts";
import { firstChoice, type Json, listOf, objectOf, textOf, thoughtOf } from "../reading.ts";
import { errorOf, stopOf, usageOf } from "./answer.ts";

/** A content block that has begun and not ended. */
type Open = { readonly kind: "text" | "thinking" | "tool_use"; readonly tool: number };

/**
 * A chat completion's chunks as Anthropic's events
 * (https://docs.anthropic.com/en/docs/build-with-claude/streaming), each as soon as it came: blocks of
 * thinking, text and tool input in the order in which the engine begins them.
 */
export function anthropicStream(): StreamWriter {
  let open: Open | null = null;
  let index = -1;
  let begun = false;
  let broken = false;
  let stop: Json = {};
  let usage: Json | null = null;

  function begin(chunk: Json): Json[] {
    if (begun) return [];
    begun = true;
    const message = {
      id: chunk.id,
      type: "message",
      role: "assistant",
      model: chunk.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      // Engines count at the end.
      usage: usageOf(objectOf(chunk.usage)),
    };
    return [{ type: "message_start", message }];
  }

  function close(): Json[] {
    if (open === null) return [];
    open = null;
    return [{ type: "content_block_stop", index }];
  }

  /** What ends the block before, when this one is another, and begins it. */
  function enter(kind: Open["kind"], tool: number, content_block: Json): Json[] {
    if (open?.kind === kind && open.tool === tool) return [];
    const before = close();
    open = { kind, tool };
    index += 1;
    return [...before, { type: "content_block_start", index, content_block }];
  }

  function piece(delta: Json): Json {
    return { type: "content_block_delta", index, delta };
  }

  function said(delta: Json): Json[] {
    const thought = thoughtOf(delta);
    const text = textOf(delta.content);
    return [
      ...(thought === null
        ? []
        : [
            ...enter("thinking", -1, { type: "thinking", thinking: "", signature: "" }),
            piece({ type: "thinking_delta", thinking: thought }),
          ]),
      ...(text === null
        ? []
        : [...enter("text", -1, { type: "text", text: "" }), piece({ type: "text_delta", text })]),
      ...listOf(delta.tool_calls).flatMap(called),
    ];
  }

  function called(value: unknown): Json[] {
    const { index: at, id, function: named } = objectOf(value) ?? {};
    const { name, arguments: given } = objectOf(named) ?? {};
    const tool = typeof at === "number" ? at : (open?.tool ?? 0);
    const begins = enter("tool_use", tool, { type: "tool_use", id, name, input: {} });
    const partial_json = textOf(given);
    return partial_json === null
      ? begins
      : [...begins, piece({ type: "input_json_delta", partial_json })];
  }

  return {
    event(_, chunk) {
      if (chunk === null) return null;
      usage = objectOf(chunk.usage) ?? usage;
      const error = objectOf(chunk.error);
      if (error !== null) {
        broken = true;
        return written([errorOf(500, textOf(error.message) ?? "the engine failed")]);
      }
      const choice = firstChoice(chunk);
      if (choice === null) return null;
      if (textOf(choice.finish_reason) !== null) stop = choice;
      return written([...begin(chunk), ...said(objectOf(choice.delta) ?? {})]);
    },
    end() {
      if (broken) return null;
      return written([
        ...begin({}),
        ...close(),
        { type: "message_delta", delta: stopOf(stop), usage: usageOf(usage) },
        { type: "message_stop" },
      ]);
    },
    failed(error) {
      const { status, message } = answerTo(error);
      return written([errorOf(status, message)]) ?? Buffer.alloc(0);
    },
  };
}

function written(events: readonly Json[]): Buffer | null {
  if (events.length === 0) return null;
  const lines = events.map((one) => `event: ${String(one.type)}\ndata: ${JSON.stringify(one)}\n\n`);
  return Buffer.from(lines.join(""));
}
