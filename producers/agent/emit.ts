import {
  type Attributes,
  type HrTime,
  isSpanContextValid,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { AlwaysOnSampler, BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { LightningError } from "../../schemas/errors.ts";
import { currentScope } from "./attempt.ts";
import { checked, flatten, kindOf, sanitise } from "./flatten.ts";
import { keys, spanNames, tracerName } from "./names.ts";
import { pointTime } from "./sequence.ts";

export type EmitOptions = {
  /** Further attributes, flattened and made into what OpenTelemetry takes; they win a key clash. */
  readonly attributes?: Readonly<Record<string, unknown>>;
  /** False: make the span but send it nowhere. Works outside of an attempt. */
  readonly propagate?: boolean;
};

/** What was emitted; `spanId` is what links refer to. */
export type Emitted = {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly attributes: Attributes;
  readonly time: HrTime;
};

/**
 * Emits a reward of the current attempt: a number, or named dimensions of which `primaryKey` is the
 * one that training uses (it gets index 0, the others follow in their order). Truth values count as
 * 1 and 0.
 *
 * The span is made at once; the promise of this and every emitter waits for room in the buffer when
 * it is full and the client was told to block, and never rejects.
 *
 * @example
 * await emitReward(0.7);
 * await emitReward({ correct: 1, brief: 0.2 }, { primaryKey: "correct" });
 *
 * Throws `request-invalid` for what is no finite number, for dimensions without a `primaryKey` among
 * them, and outside of an attempt.
 */
export function emitReward(
  reward: number | boolean | Readonly<Record<string, number | boolean>>,
  options: EmitOptions & { readonly primaryKey?: string } = {},
): Promise<Emitted> {
  const attributes: Record<string, unknown> = {};
  for (const [i, [name, value]] of dimensions(reward, options.primaryKey).entries()) {
    attributes[`${keys.reward}.${i}.name`] = name;
    attributes[`${keys.reward}.${i}.value`] = value;
  }
  return emitPoint("emitReward", spanNames.annotation, attributes, true, options);
}

/**
 * Emits any metadata, nested as one likes: tags, scores that are no reward, links (see
 * {@link tags} and {@link links}).
 *
 * @example
 * await emitAnnotation({ grader: { model: "judge-1", votes: 3 }, ...tags(["final"]) });
 *
 * Throws `request-invalid` naming the key for null, Sets, class instances and keys that are no text.
 */
export function emitAnnotation(
  annotation: Readonly<Record<string, unknown>>,
  { propagate = true }: { readonly propagate?: boolean } = {},
): Promise<Emitted> {
  const attributes = checked("emitAnnotation", flatten(annotation));
  return emitPoint("emitAnnotation", spanNames.annotation, attributes, true, { propagate });
}

/**
 * Emits a line of text.
 *
 * @example
 * await emitMessage("gave up after three searches", { attributes: { searches: 3 } });
 *
 * Throws `request-invalid` when the message is no text.
 */
export function emitMessage(message: string, options: EmitOptions = {}): Promise<Emitted> {
  if (typeof message !== "string") throw invalid("emitMessage", "message", message, "text");
  const attributes = { [keys.messageBody]: message };
  return emitPoint("emitMessage", spanNames.message, attributes, false, options);
}

/**
 * Emits an exception that the agent has handled; the span itself succeeded. The type is the bare
 * class name, the stack trace includes the causes.
 *
 * @example
 * try { await search(query); } catch (error) { await emitException(error as Error); }
 *
 * Throws `request-invalid` when the argument is no Error.
 */
export function emitException(exception: Error, options: EmitOptions = {}): Promise<Emitted> {
  if (!(exception instanceof Error)) {
    throw invalid("emitException", "exception", exception, "an Error");
  }
  const attributes = exceptionAttributes(exception);
  return emitPoint("emitException", spanNames.exception, attributes, true, options);
}

/** The `exception.*` attributes of anything thrown; what is no Error has the type its value has. */
export function exceptionAttributes(thrown: unknown): Attributes {
  if (!(thrown instanceof Error)) {
    return { [keys.exceptionType]: typeof thrown, [keys.exceptionMessage]: String(thrown) };
  }
  const stack = stackOf(thrown);
  return {
    [keys.exceptionType]: typeOf(thrown),
    [keys.exceptionMessage]: thrown.message,
    [keys.exceptionEscaped]: true,
    ...(stack.trim() === "" ? {} : { [keys.exceptionStacktrace]: stack }),
  };
}

/** Attributes of free-form tags, for `attributes` of any emitter. */
export function tags(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, i) => [`${keys.tag}.${i}`, name]));
}

/**
 * Attributes that link to other spans by equality of an attribute, or of the reserved `trace_id` and
 * `span_id`. All must match.
 *
 * @example
 * await emitReward(1, { attributes: links({ "gen_ai.response.id": response.id }) });
 */
export function links(matches: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(matches).flatMap(([key, value], i) => {
    if (typeof value !== "string") throw invalid("links", key, value, "text");
    return [
      [`${keys.link}.${i}.key_match`, key],
      [`${keys.link}.${i}.value_match`, value],
    ] as const;
  });
  return Object.fromEntries(entries);
}

/** A zero-length span, child of the active one. */
export function emitPoint(
  caller: string,
  name: string,
  own: Readonly<Record<string, unknown>>,
  succeeded: boolean,
  { attributes = {}, propagate = true }: EmitOptions,
): Promise<Emitted> {
  const scope = currentScope();
  const all = { ...sanitise(own), ...sanitise(flatten(attributes)) };
  const time = pointTime(scope?.attempt);
  const tracer = tracerFor(caller, propagate);
  const span = started(caller, tracer.startSpan(name, { startTime: time, attributes: all }));
  if (succeeded) span.setStatus({ code: SpanStatusCode.OK });
  span.end(time);
  const { traceId, spanId } = span.spanContext();
  const emitted = { traceId, spanId, name, attributes: all, time };
  const room = propagate ? scope?.emitting?.room() : undefined;
  return (room ?? Promise.resolve()).then(() => emitted);
}

/**
 * The tracer of a new span: the client's that opened the attempt, else the process's. Throws
 * `request-invalid` outside of an attempt, where the span would be lost.
 */
export function tracerFor(caller: string, propagate: boolean): Tracer {
  if (!propagate) return localTracer;
  const scope = currentScope();
  if (scope === undefined) {
    throw new LightningError(
      "request-invalid",
      `${caller} called outside of an attempt: run it inside rollout, runAgent or withAttempt, or pass { propagate: false }`,
    );
  }
  return scope.emitting?.tracer ?? trace.getTracer(tracerName);
}

/** Throws `request-invalid` for the spans of OpenTelemetry's no-op tracer, which go nowhere. */
export function started(caller: string, span: Span): Span {
  if (isSpanContextValid(span.spanContext())) return span;
  throw new LightningError(
    "request-invalid",
    `${caller} found no active tracer: call createLightning first, or register a tracer provider`,
  );
}

/** Bare class name, as Python has it: a subclass that sets no name of its own is still told apart. */
function typeOf(error: Error): string {
  return error.name === "Error" ? error.constructor.name : error.name;
}

const localTracer = new BasicTracerProvider({ sampler: new AlwaysOnSampler() }).getTracer(
  tracerName,
);

function dimensions(reward: unknown, primaryKey: string | undefined): [string, number][] {
  if (typeof reward !== "object" || reward === null) {
    return [["primary", rewardNumber("reward", reward)]];
  }
  const entries = Object.entries(reward);
  const primary = entries.find(([name]) => name === primaryKey);
  if (primary === undefined) {
    throw new LightningError(
      "request-invalid",
      `emitReward: primaryKey is ${JSON.stringify(primaryKey)}, must be one of ${JSON.stringify(Object.keys(reward))}`,
      { argument: "primaryKey" },
    );
  }
  const others = entries.filter(([name]) => name !== primaryKey);
  return [primary, ...others].map(([name, value]) => [name, rewardNumber(name, value)]);
}

function rewardNumber(name: string, value: unknown): number {
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw invalid("emitReward", name, value, "a finite number");
}

function invalid(
  caller: string,
  argument: string,
  value: unknown,
  allowed: string,
): LightningError {
  const read = typeof value === "number" ? `the number ${value}` : kindOf(value);
  return new LightningError(
    "request-invalid",
    `${caller}: ${argument} is ${read}, allowed is ${allowed}`,
    { argument },
  );
}

/** The stack and those of the causes; five levels, because causes may form a circle. */
function stackOf(exception: Error): string {
  const stacks: string[] = [];
  for (let error: unknown = exception; error instanceof Error && stacks.length < 5; ) {
    stacks.push(error.stack ?? "");
    error = error.cause;
  }
  return stacks.join("\nCaused by: ");
}
