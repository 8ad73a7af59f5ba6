import { type Attributes, context, type Span, SpanStatusCode, trace } from "@opentelemetry/api";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { currentAttempt, currentScope, type Emitting } from "./attempt.ts";
import { type EmitOptions, type Emitted, exceptionAttributes, started, tracerFor } from "./emit.ts";
import { flatten, kindOf, sanitise } from "./flatten.ts";
import { keys, spanNames } from "./names.ts";
import { boundInputs, indexed, parametersOf } from "./parameters.ts";
import { pointTime } from "./sequence.ts";

export type OperationOptions = EmitOptions & {
  /** Fills `agentlightning.operation.name`; a wrapped function's own name unless given. */
  readonly name?: string;
};

/** The block's view of its operation. */
export type Operation = {
  /** Arguments become `.input.args.<i>`; a last object given as `named` becomes `.input.<key>`. */
  setInput(args: readonly unknown[], named?: Readonly<Record<string, unknown>>): void;
  /** The result, flattened below `.output`. */
  setOutput(value: unknown): void;
  setAttributes(attributes: Readonly<Record<string, unknown>>): void;
  /** The finished operation; throws `request-invalid` while it runs. */
  span(): Emitted;
};

type AnyFunction = (...args: never[]) => unknown;

/**
 * Wraps a function so that each call is an operation span: inputs by parameter name, output, errors.
 * Spans made inside are its children. The wrapped function has the same type; it stays synchronous
 * when it was. The tracer is looked up at each call, so wrapping at import time works.
 *
 * Parameter names come from the function's source; destructured ones appear as `args.<i>`. Inputs
 * are read when the function starts and outputs when it ends; later changes are not seen.
 *
 * @example
 * const search = operation(async function search(query: string, limit = 5) { … });
 * const grade = operation({ name: rewardOperation }, async (answer: string) => judge(answer));
 *
 * Throws `request-invalid` for a name in place of the options, for a name given twice, and, when
 * called, outside of an attempt.
 */
export function operation<F extends AnyFunction>(fn: F): F;
export function operation<F extends AnyFunction>(options: OperationOptions, fn: F): F;
export function operation<F extends AnyFunction>(first: F | OperationOptions, second?: F): F {
  const fn = typeof first === "function" ? first : second;
  const options = typeof first === "function" ? {} : first;
  checkOptions(options);
  if (typeof fn !== "function") throw invalid(`the function is ${kindOf(fn)}`, "fn");
  const named = { ...options, name: options.name ?? (fn.name || "anonymous") };
  const parameters = parametersOf(fn);
  const wrapped = function (this: unknown, ...args: unknown[]): unknown {
    const inputs = boundInputs(parameters, args);
    return run(named, (recorded) => {
      recorded.set(captured(keys.operationInput, inputs));
      return withOutput(Reflect.apply(fn, this, args), recorded);
    });
  };
  Object.defineProperty(wrapped, "name", { value: fn.name });
  Object.defineProperty(wrapped, "length", { value: fn.length });
  return wrapped as unknown as F;
}

/**
 * Runs a block as an operation span. It has a name only when given one.
 *
 * @example
 * const rooms = await withOperation({ name: "list-rooms" }, async (op) => {
 *   op.setInput([time]);
 *   const rooms = await calendar.rooms(time);
 *   op.setOutput(rooms);
 *   return rooms;
 * });
 *
 * Throws as {@link operation} does, and whatever the block throws, recorded.
 */
export function withOperation<T>(options: OperationOptions, block: (operation: Operation) => T): T {
  checkOptions(options);
  return run(options, (recorded) => block(blockOf(recorded)));
}

/** A span that remembers what was set on it, for {@link Operation.span}. */
type Recorded = {
  readonly span: Span;
  readonly emitted: Emitted;
  set(attributes: Attributes): void;
  end(): void;
  readonly ended: () => boolean;
};

/** Runs `body` under a new operation span that ends when the body, or the promise it returns, does. */
function run<T>(options: OperationOptions, body: (recorded: Recorded) => T): T {
  const { name, attributes = {}, propagate = true } = options;
  const emitting = propagate ? currentScope()?.emitting : undefined;
  const tracer = tracerFor("operation", propagate);
  const recorded = record(started("operation", tracer.startSpan(spanNames.operation)));
  if (name !== undefined) recorded.set({ [keys.operationName]: name });
  recorded.set(sanitise(flatten(attributes)));
  const active = propagate ? trace.setSpan(context.active(), recorded.span) : context.active();
  let result: T;
  try {
    result = context.with(active, () => body(recorded));
  } catch (error) {
    fail(recorded, error);
    throw error;
  }
  if (isPromise(result)) return settle(result, recorded, emitting) as T;
  recorded.end();
  return result;
}

/** The promise's outcome, recorded, and held back while the buffer has no room. */
async function settle(
  promise: PromiseLike<unknown>,
  recorded: Recorded,
  emitting: Emitting | undefined,
): Promise<unknown> {
  try {
    const value = await promise;
    recorded.end();
    await emitting?.room();
    return value;
  } catch (error) {
    fail(recorded, error);
    throw error;
  }
}

function withOutput(result: unknown, recorded: Recorded): unknown {
  const note = (value: unknown) => {
    recorded.set(captured(keys.operationOutput, value));
    return value;
  };
  return isPromise(result) ? Promise.resolve(result).then(note) : note(result);
}

function record(span: Span): Recorded {
  const { traceId, spanId } = span.spanContext();
  const attributes: Attributes = {};
  const time = pointTime(currentAttempt());
  let ended = false;
  return {
    span,
    emitted: { traceId, spanId, name: spanNames.operation, attributes, time },
    set(more) {
      Object.assign(attributes, more);
      span.setAttributes(more);
    },
    end() {
      ended = true;
      span.end();
    },
    ended: () => ended,
  };
}

/** One exception event: the reference's SDK records it twice, by accident. */
function fail({ span, end }: Recorded, error: unknown): void {
  const attributes = exceptionAttributes(error);
  span.addEvent("exception", attributes);
  const message = `${attributes[keys.exceptionType]}: ${attributes[keys.exceptionMessage]}`;
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  end();
}

function blockOf({ set, emitted, ended }: Recorded): Operation {
  return {
    setInput(args, named = {}) {
      set(captured(keys.operationInput, { args: indexed(args), ...named }));
    },
    setOutput: (value) => set(captured(keys.operationOutput, value)),
    setAttributes: (attributes) => set(sanitise(flatten(attributes))),
    span() {
      if (!ended()) throw invalid("the block still runs, its span is not finished", "span");
      return emitted;
    },
  };
}

/** Flattened below the prefix. What cannot be read (a getter throws) must not break the function. */
function captured(prefix: string, value: unknown): Attributes {
  try {
    return sanitise(flatten({ [prefix]: value }));
  } catch (error) {
    return { [prefix]: `[unreadable: ${messageOf(error)}]` };
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

function checkOptions(options: OperationOptions): void {
  if (typeof options !== "object" || options === null) {
    throw invalid(`the first argument is ${kindOf(options)}, pass { name: … }`, "options");
  }
  if (options.name !== undefined && Object.hasOwn(options.attributes ?? {}, keys.operationName)) {
    throw invalid(`name and attributes["${keys.operationName}"] are both given`, "name");
  }
}

function invalid(what: string, argument: string): LightningError {
  return new LightningError("request-invalid", `operation: ${what}`, { argument });
}
