import {
  context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { currentScope, type Scope } from "./attempt.ts";
import { tracerFor } from "./emit.ts";
import { type Json, list, object, recordedRequest, recordedResponse } from "./openai-attributes.ts";
import { createCompletionReader } from "./openai-stream.ts";

type Fetch = typeof fetch;

const spanName = "openai.chat.completion";

/**
 * Makes an `openai` client record its chat completions as spans `openai.chat.completion`, named and
 * attributed as the reference's instrumentation does (messages, tools, usage, token ids and
 * log-probs where the engine returns them), streamed ones too. Changes the client in place and gives
 * it back; calls outside of an attempt pass through unrecorded. Not for a client whose base URL is
 * the gateway's proxy: that records the calls itself, and they would be there twice.
 *
 * @example
 * const openai = instrumentOpenAI(new OpenAI({ baseURL }));
 *
 * Throws `config-invalid` for a client without a replaceable `fetch`; give such a one
 * `{ fetch: recordingFetch() }` when it is made.
 */
export function instrumentOpenAI<Client extends object>(client: Client): Client {
  const holder = client as { fetch?: unknown };
  if (typeof holder.fetch !== "function") {
    throw new LightningError(
      "config-invalid",
      "instrumentOpenAI: the client has no fetch to wrap; make it with { fetch: recordingFetch() }",
    );
  }
  // The client's own, called as the client calls it: unbound.
  holder.fetch = recordingFetch(holder.fetch as Fetch);
  return client;
}

/**
 * A fetch that records chat completions; everything else passes. A request that gets no completion
 * is a span `openai.request` with the status ERROR, so that nobody takes it for a step.
 */
export function recordingFetch(inner: Fetch = fetch): Fetch {
  return async (input, init) => {
    const scope = currentScope();
    const body = scope === undefined ? undefined : chatRequest(input, init);
    if (scope === undefined || body === undefined) return inner(input, init);
    await scope.emitting?.room();
    const call = begin(body);
    try {
      const active = trace.setSpan(context.active(), call.span);
      const response = await context.with(active, () => inner(input, init));
      return await recorded(call, response, scope);
    } catch (error) {
      failed(call.span, messageOf(error));
      throw error;
    }
  };
}

type Call = { readonly span: Span; readonly tracer: Tracer };

function begin(body: Json): Call {
  const tracer = tracerFor("instrumentOpenAI", true);
  const options = { kind: SpanKind.CLIENT, attributes: recordedRequest(body) };
  return { tracer, span: tracer.startSpan(spanName, options) };
}

/** The request's JSON body, when it asks for a chat completion. */
function chatRequest(input: Parameters<Fetch>[0], init: RequestInit | undefined): Json | undefined {
  const url = input instanceof Request ? input.url : String(input);
  const isChat = /\/chat\/completions(\?|$)/.test(url) && init?.method?.toUpperCase() === "POST";
  if (!isChat || typeof init?.body !== "string") return undefined;
  try {
    return object(JSON.parse(init.body));
  } catch {
    return undefined;
  }
}

/**
 * The response, its call recorded before the caller has read the last of it: the span ends before
 * the agent goes on.
 */
async function recorded(call: Call, response: Response, scope: Scope): Promise<Response> {
  const { status, statusText, headers } = response;
  if (!response.ok || response.body === null) {
    call.span.setAttribute("http.response.status_code", status);
    failed(call.span, `HTTP ${status}`);
    return response;
  }
  if (headers.get("content-type")?.includes("text/event-stream") === true) {
    const body = watched(response.body, call);
    return new Response(body, { status, statusText, headers });
  }
  const text = await response.text();
  finish(call, () => object(JSON.parse(text)));
  await scope.emitting?.room();
  return new Response(text, { status, statusText, headers });
}

/** The stream unchanged; its completion is recorded at its end, or as far as it got when cut off. */
function watched(source: ReadableStream<Uint8Array>, call: Call): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const completion = createCompletionReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          finish(call, completion.result);
          controller.close();
          return;
        }
        completion.push(value);
        controller.enqueue(value);
      } catch (error) {
        call.span.setAttributes(recordedResponse(completion.result()));
        failed(call.span, messageOf(error));
        controller.error(error);
      }
    },
    async cancel(reason) {
      finish(call, completion.result);
      await reader.cancel(reason);
    },
  });
}

/** Ends the span with the completion and, as children, the tool calls it asks for. */
function finish({ span, tracer }: Call, read: () => Json): void {
  if (!span.isRecording()) return;
  let completion: Json;
  try {
    completion = read();
  } catch (error) {
    failed(span, `the answer is not JSON: ${messageOf(error)}`);
    return;
  }
  span.setAttributes(recordedResponse(completion));
  const parent = trace.setSpan(context.active(), span);
  for (const choice of list(completion.choices)) {
    for (const tool of list(object(object(choice).message).tool_calls)) {
      const { id, type, function: called } = object(tool);
      const { name, arguments: parameters } = object(called);
      const attributes = {
        "agentops.span.kind": "tool",
        "tool.name": String(name),
        "tool.parameters": String(parameters ?? ""),
        "tool.call.id": String(id ?? ""),
        "tool.call.type": String(type ?? "function"),
      };
      const child = tracer.startSpan(`tool_call.${name}`, { attributes }, parent);
      child.setStatus({ code: SpanStatusCode.OK });
      child.end();
    }
  }
  span.setStatus({ code: SpanStatusCode.OK });
  span.end();
}

function failed(span: Span, message: string): void {
  if (!span.isRecording()) return;
  span.updateName("openai.request");
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  span.end();
}
