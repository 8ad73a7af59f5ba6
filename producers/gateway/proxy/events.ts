import { LightningError } from "../../../schemas/errors.ts";

/** A server-sent event: its bytes as they came, and its data. */
export type ServerEvent = { readonly bytes: Buffer; readonly data: string };

/** Largest single event, bytes. */
const maxEventBytes = 16 * 1024 * 1024;

/**
 * Cuts a stream into server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 * without changing a byte of them. What stands behind the last blank line is an event too.
 */
export async function* readEvents(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerEvent, void, void> {
  let pending: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    size += chunk.byteLength;
    if (size > maxEventBytes) {
      const message = `the engine sent an event larger than ${maxEventBytes} bytes`;
      throw new LightningError("engine-unavailable", message);
    }
    // A blank line may be cut between two chunks, but it ends with a line feed in this one.
    if (!chunk.includes(10)) continue;
    let rest = pending.length === 1 ? (pending[0] ?? Buffer.alloc(0)) : Buffer.concat(pending);
    for (let end = endOfEvent(rest); end > 0; end = endOfEvent(rest)) {
      yield eventOf(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    pending = rest.length === 0 ? [] : [rest];
    size = rest.length;
  }
  if (size > 0) yield eventOf(Buffer.concat(pending));
}

/** Where the first event ends, its blank line included; -1 when it has not ended yet. */
function endOfEvent(bytes: Buffer): number {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return -1;
}

function eventOf(bytes: Buffer): ServerEvent {
  const data = bytes
    .toString("utf8")
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).trimStart());
  return { bytes, data: data.join("\n") };
}
