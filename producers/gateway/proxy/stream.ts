import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { messageOf } from "../../../schemas/errors.ts";
import type { Gateway } from "../context.ts";
import { type Call, recordCall } from "./call.ts";
import { createCapture } from "./capture.ts";
import { readEvents } from "./events.ts";
import type { Patience } from "./forward.ts";
import { objectOf, parsedObject, textOf } from "./reading.ts";

/**
 * Passes an engine's stream on event by event, as the agent's dialect has them, and holds its end back
 * until the call is durable. An agent that has seen the end has its span in the log; one that goes
 * away, or whose engine breaks off, has it too, as failed.
 */
export async function* relay(
  gateway: Gateway,
  call: Call,
  response: Response,
  patience: Patience,
): AsyncGenerator<Buffer, void, void> {
  const capture = createCapture();
  const writer = call.dialect.stream(call.asked);
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
    let done: Buffer | null = null;
    for await (const { bytes, data } of readEvents(body ?? Readable.from([]))) {
      if (data === "[DONE]") {
        done = bytes;
        break;
      }
      const chunk = parsedObject(data);
      if (chunk !== null) capture.add(chunk);
      const sent = writer.event(bytes, chunk);
      if (sent !== null) yield sent;
    }
    await record(null);
    const end = writer.end(done);
    if (end !== null) yield end;
  } catch (error) {
    if (!recorded) await record(reasonOf(error, patience));
    yield writer.failed(error);
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
