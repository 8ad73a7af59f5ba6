import { noAttributes, putKind } from "../../producers/attributes.ts";
import { readJson } from "../../producers/gateway/otlp/json.ts";
import { place } from "../../producers/gateway/otlp/place.ts";
import { objectFields } from "../../producers/gateway/store/body.ts";
import type { Body } from "../../producers/gateway/store/json.ts";
import { spanOf } from "../../producers/gateway/store/span-body.ts";
import type { Fields, Issue } from "../../producers/gateway/store/validation.ts";
import { LightningError } from "../../schemas/errors.ts";
import { rawItems, rawMembers } from "../../schemas/raw-json.ts";
import type { SpanRecorded } from "../../schemas/types.ts";
import { documentsOf } from "./span-lines.ts";

/** An event as the 1.0 gateway keeps it. */
export type FileEvent = {
  readonly event_type: string;
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly data: Readonly<Record<string, unknown>>;
} & Readonly<Record<string, unknown>>;

/** What a file holds, in its order. */
export type SpansRead = {
  readonly spans: readonly SpanRecorded[];
  readonly events: readonly FileEvent[];
};

/** Most characters of JSON that are kept: in memory spans take about six times as much. */
export const mostKept = 256 * 1024 * 1024;

/**
 * Reads spans from a file, `-` being standard input: in the form of the store API (a list, a page
 * `{"items": []}`, or one span per line), as OTLP JSON (`resourceSpans`), or events of the 1.0
 * gateway. What a hand-written span of the store's form may leave out is filled in; span_id, name,
 * attributes and times must be there.
 *
 * @param wanted which rollout's are kept; the others are read and left out.
 * @throws LightningError `record-invalid` or `record-malformed` naming line and field, `too-large`.
 */
export async function readSpans(
  file: string,
  wanted: (rolloutId: string, attemptId: string) => boolean = () => true,
  most = mostKept,
): Promise<SpansRead> {
  const into = nothingRead(wanted);
  for await (const { body, at } of documentsOf(file)) {
    readValue(body.value, body, at, "", into);
    if (into.kept > most) throw tooMuch(file, most);
  }
  return into;
}

/** The spans of a JSON value in any of these forms; `at` is what messages begin with. */
export function spansIn(body: Body, at: string): SpansRead {
  const into = nothingRead(() => true);
  readValue(body.value, body, at, "", into);
  return into;
}

/** The spans, or events, of one attempt. */
export type AttemptOf<T> = {
  readonly rollout_id: string;
  readonly attempt_id: string;
  readonly items: readonly T[];
};

/** Parts by rollout and attempt, in the order they first appear. */
export function byAttempt<T extends Belonging>(items: readonly T[]): readonly AttemptOf<T>[] {
  const attempts = new Map<string, { rollout_id: string; attempt_id: string; items: T[] }>();
  for (const item of items) {
    const { rollout_id, attempt_id } = item;
    const key = JSON.stringify([rollout_id, attempt_id]);
    const attempt = attempts.get(key) ?? { rollout_id, attempt_id, items: [] };
    attempts.set(key, attempt);
    attempt.items.push(item);
  }
  return [...attempts.values()];
}

type Into = {
  readonly spans: SpanRecorded[];
  readonly events: FileEvent[];
  /** Characters of JSON they were read from. */
  kept: number;
  /** That of the last span of the store's form. */
  resource: { readonly text: string; readonly attributes: SpanRecorded["resource"] };
  readonly wanted: (rolloutId: string, attemptId: string) => boolean;
};

function nothingRead(wanted: Into["wanted"]): Into {
  const resource = { text: "", attributes: noAttributes() };
  return { spans: [], events: [], kept: 0, resource, wanted };
}

type Value = Readonly<Record<string, unknown>>;

/** Tells the forms apart by the one field each of them has and the others have not. */
function readValue(value: unknown, body: Body, at: string, path: string, into: Into): void {
  if (typeof value !== "object" || value === null) throw unknownForm(at, path, value);
  const object = value as Value;
  if (Array.isArray(value)) readList(value, body, at, path, into);
  else if (Array.isArray(object.items)) {
    const text = rawMembers(body.text).get("items") ?? "[]";
    readList(object.items, { ...body, text }, at, `${path}items`, into);
  } else if ("resourceSpans" in object) readOtlp(body, at, path, into);
  else if ("event_type" in object) readEvent(object, body, at, path, into);
  else if ("span_id" in object) readStoreSpan(object, body, at, path, into);
  else throw unknownForm(at, path, value);
}

function readList(
  list: readonly unknown[],
  body: Body,
  at: string,
  path: string,
  into: Into,
): void {
  const texts = rawItems(body.text);
  for (const [i, value] of list.entries()) {
    const item = { value, text: texts[i] ?? "null", bare: body.bare };
    readValue(value, item, at, `${path}[${i}].`, into);
  }
}

function readOtlp(body: Body, at: string, path: string, into: Into): void {
  try {
    readJson(Buffer.from(body.text), (span, size, problem) => {
      const reason = problem ?? place(span, unnamed);
      if (reason !== null) {
        const message = `${where(at, path)}: span ${JSON.stringify(span.name)}: ${reason}`;
        throw new LightningError("record-invalid", message);
      }
      keep(span, size, into.spans, into);
    });
  } catch (cause) {
    if (!(cause instanceof LightningError) || cause.code === "record-invalid") throw cause;
    throw new LightningError("record-invalid", `${where(at, path)}: ${cause.message}`, { cause });
  }
}

/** Where a span of an OTLP file belongs that does not say so. */
const unnamed = { project: "default", rolloutId: "unnamed", attemptId: "unnamed" };

function readEvent(event: Value, body: Body, at: string, path: string, into: Into): void {
  const { event_type, rollout_id = "unnamed", attempt_id = "unnamed", data = {} } = event;
  for (const [name, value] of Object.entries({ event_type, rollout_id, attempt_id })) {
    if (typeof value !== "string") throw wrongField(at, path, name, value, "a text");
  }
  if (typeof data !== "object" || data === null || Array.isArray(data)) {
    throw wrongField(at, path, "data", data, "an object");
  }
  const read = { ...event, event_type, rollout_id, attempt_id, data } as FileEvent;
  keep(read, body.text.length, into.events, into);
}

/** What a span of the store's form may leave out. */
const absent: Readonly<Record<string, unknown>> = {
  rollout_id: "unnamed",
  attempt_id: "unnamed",
  sequence_id: 0,
  trace_id: "",
  parent_id: null,
  status: { status_code: "UNSET", description: null },
  events: [],
  links: [],
  context: null,
  parent: null,
  resource: { attributes: {}, schema_url: "" },
};

function readStoreSpan(value: Value, body: Body, at: string, path: string, into: Into): void {
  const issues: Issue[] = [];
  const fields = objectFields(value, body.text, [], issues);
  if (fields === null) throw unknownForm(at, path, value);
  const filled = filledIn(fields);
  const { value: span } = spanOf(filled, body, "default");
  const issue = issues.find((one) => !keptAsJson(one, value, span));
  if (issue !== undefined) {
    throw wrongField(at, path, issue.loc.join("."), issue.input, undefined, issue.msg);
  }
  if ((value.sequence_id ?? null) === null) span.sequence_id = null;
  shareResource(span, filled.raw("resource"), into);
  keep(span, body.text.length, into.spans, into);
}

/** Spans of one process each repeat what is to be said of it: kept once, it takes memory once. */
function shareResource(span: SpanRecorded, text: string, into: Into): void {
  if (text === into.resource.text) span.resource = into.resource.attributes;
  else into.resource = { text, attributes: span.resource };
}

type Belonging = { readonly rollout_id: string; readonly attempt_id: string };

function keep<T extends Belonging>(item: T, size: number, list: T[], into: Into): void {
  if (!into.wanted(item.rollout_id, item.attempt_id)) return;
  list.push(item);
  into.kept += size;
}

/** Nested attributes, mixed lists and null, which the store refuses and OTLP has, are kept. */
function keptAsJson({ type, loc }: Issue, value: Value, span: SpanRecorded): boolean {
  const [map, name] = loc;
  if (type !== "attribute_type" || map !== "attributes" || loc.length !== 2) return false;
  const attribute = (value.attributes as Value)[String(name)];
  putKind(span.attributes, "json", String(name), JSON.stringify(attribute));
  return true;
}

function filledIn(fields: Fields): Fields {
  const isAbsent = (name: string): boolean =>
    name in absent && (fields.value[name] ?? null) === null && absent[name] !== null;
  const filled = { ...absent, ...fields.value };
  for (const name in absent) if (isAbsent(name)) filled[name] = absent[name];
  const raw = (name: string): string =>
    isAbsent(name) ? JSON.stringify(absent[name]) : fields.raw(name);
  return { ...fields, value: filled, raw };
}

function where(at: string, path: string): string {
  const bare = path.replace(/\.$/, "");
  return bare === "" ? at : `${at}, ${bare}`;
}

function wrongField(
  at: string,
  path: string,
  field: string,
  read: unknown,
  allowed: string | undefined,
  message = `allowed is ${allowed}`,
): LightningError {
  const shown = JSON.stringify(read)?.slice(0, 80) ?? "nothing";
  const text = `${at}, ${path}${field} is ${message === "Field required" ? "missing" : `${shown}: ${message}`}`;
  return new LightningError("record-invalid", text, { field: `${path}${field}` });
}

function unknownForm(at: string, path: string, value: unknown): LightningError {
  const keys = typeof value === "object" && value !== null ? Object.keys(value) : null;
  const read =
    keys === null
      ? JSON.stringify(value)?.slice(0, 80)
      : `an object with ${keys.length === 0 ? "nothing" : keys.slice(0, 8).join(", ")}`;
  const allowed =
    'a span of the store API (has span_id), a page of them ({"items": []}), OTLP JSON (resourceSpans) or a 1.0 event (event_type)';
  return new LightningError(
    "record-invalid",
    `${where(at, path)} is ${read}; allowed is ${allowed}, or a list of these`,
  );
}

function tooMuch(file: string, most: number): LightningError {
  const message = `${file} holds more than ${most} characters of spans: choose one rollout with --rollout`;
  return new LightningError("too-large", message);
}
