import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { messageOf } from "../../../schemas/errors.ts";
import type { Gateway } from "../context.ts";
import { answerTo, errorBody } from "../errors.ts";
import { type Call, recordCall } from "./call.ts";
import { createCapture } from "./capture.ts";
import { readEvents } from "./events.ts";
import type { Patience } from "./forward.ts";
import { listOf, objectOf, parsedObject, textOf } from "./reading.ts";

/**
 * Passes an engine's stream on event by event, unchanged, and holds its end back until the call is
 * durable. An agent that has seen `[DONE]` has its span in the log; one that goes away, or whose
 * engine breaks off, has it too, as failed.
 */
export async function* relay(
  gateway: Gateway,
  call: Call,
  response: Response,
  patience: Patience,
): AsyncGenerator<Buffer, void, void> {
  const capture = createCapture();
  const { status, headers } = response;
  let recorded = false;
  const record = async (failure: string | null): Promise<void> => {
    recorded = true;
    const whole = capture.response();
    const said = objectOf(whole.error);
    const problem = failure ?? (said === null ? null : (textOf(said.message) ?? "engine error"));
    await recordCall(gateway, call, { status, headers, response: whole, failure: problem });
  };
  try {
    const body = response.body as ReadableStream<Uint8Array> | null;
    for await (const { bytes, data } of readEvents(body ?? Readable.from([]))) {
      if (data === "[DONE]") await record(null);
      else {
        const chunk = parsedObject(data);
        if (chunk !== null) capture.add(chunk);
        if (chunk !== null && isOurUsage(call, listOf(chunk.choices).length, chunk.usage)) continue;
      }
      yield bytes;
    }
    if (!recorded) await record(null);
  } catch (error) {
    if (!recorded) await record(reasonOf(error, patience));
    yield errorEvent(error);
  } finally {
    // The agent stopped reading: the generator is returned from and nothing above has run.
    if (!recorded) await record(wentAway);
  }
}

const wentAway = "the agent went away before the end of the stream";

/** An aborted read does not say who aborted it. */
function reasonOf(error: unknown, patience: Patience): string {
  const over = patience.over();
  if (over === "gone") return wentAway;
  return over === "late" ? "the engine did not finish in time" : messageOf(error);
}

/** The chunk with the usage that we asked for and the agent did not. */
function isOurUsage(call: Call, choices: number, usage: unknown): boolean {
  const asked = objectOf(call.asked.stream_options)?.include_usage === true;
  return !asked && choices === 0 && objectOf(usage) !== null;
}

/** As engines tell errors inside a stream; there is no `[DONE]` behind it. */
function errorEvent(error: unknown): Buffer {
  return Buffer.from(`data: ${JSON.stringify(errorBody(answerTo(error)))}\n\n`);
}
