import { createHash, randomFillSync } from "node:crypto";
import { LightningError } from "../../schemas/errors.ts";

/** Longest id of a rollout, attempt, group, worker, request or resource set, characters. */
export const longestId = 300;

/** What an id may be, for error messages. */
export const idRule = `1 to ${longestId} characters, none of them a control character`;

/** Whether a text may be an id: it ends up in Kafka keys, URLs and SQL. */
export function isId(id: string): boolean {
  if (id.length === 0 || id.length > longestId) return false;
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  }
  return true;
}

/** The id, or `request-invalid` naming the field it was read from. */
export function checkId(id: string, field: string): string {
  if (isId(id)) return id;
  throw new LightningError(
    "request-invalid",
    `${field}: read ${JSON.stringify(id.slice(0, 80))}, allowed are ${idRule}`,
    { field },
  );
}

/**
 * Lower-case hex digits: of the seeds where there are some, so that a repeated request makes the
 * same thing again; random otherwise.
 */
export function hexId(digits: number, seeds: readonly string[] | null): string {
  if (seeds === null) return randomHex(Math.ceil(digits / 2)).slice(0, digits);
  const hash = createHash("sha256");
  for (const seed of seeds) hash.update(`${seed.length}:${seed}`);
  return hash.digest("hex").slice(0, digits);
}

const drawn = Buffer.alloc(4096);
let used = drawn.length;

/** Drawn many at a time: asking the system's generator costs more than the few bytes of an id. */
function randomHex(bytes: number): string {
  if (used + bytes > drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  used += bytes;
  return drawn.toString("hex", used - bytes, used);
}
