import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { type ChatMessage, encodeChat, type Tool } from "./chat.ts";
import { generate, type Policy } from "./policy.ts";
import { type Prompt, readPrompt } from "./prompt.ts";
import type { Random } from "./random.ts";
import { decodeText } from "./tokenizer.ts";
import { markId, textOf } from "./vocabulary.ts";

/** The policy that answers now, and its version in the log; replaced whole when it was trained. */
export type Served = { policy: Policy; version: number };

export type ServeOptions = {
  readonly served: Served;
  readonly model: string;
  readonly random: Random;
};

type Asked = {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly Tool[];
  readonly temperature: number;
  readonly n: number;
};

const mostChoices = 128;
const bodyLimit = 4 * 1024 * 1024;

/**
 * The model over OpenAI's protocol: `/v1/chat/completions` and `/v1/models`. Answers carry
 * `prompt_token_ids`, `choices[].token_ids` and log-probs, as vLLM's do when asked, and the policy
 * version in `system_fingerprint` (`policy-v3`) and the header `x-policy-version`.
 */
export function buildModelServer({ served, model, random }: ServeOptions): FastifyInstance {
  const app = Fastify({ bodyLimit });
  let answers = 0;
  app.setErrorHandler((error, _request, reply) => {
    const status = (error as { statusCode?: number }).statusCode ?? 400;
    return refuse(reply, status, error instanceof Error ? error.message : String(error), null);
  });
  app.get("/v1/models", async () => ({
    object: "list",
    data: [{ id: model, object: "model", created: 0, owned_by: "lightning-stream" }],
  }));
  app.post("/v1/chat/completions", async (request, reply) => {
    const asked = readAsked(request.body);
    if ("refused" in asked) return refuse(reply, 400, asked.refused, asked.param);
    const { policy, version } = served;
    const promptIds = encodeChat(asked.messages, asked.tools);
    const prompt = readPrompt(promptIds);
    answers += 1;
    const id = `chatcmpl-${version}-${answers}-${process.pid}`;
    const choices = Array.from({ length: asked.n }, (_, index) => {
      const { ids, logprobs } = generate(policy, prompt, asked.temperature, random);
      return choiceOf(prompt, `${id}-${index}`, index, ids, logprobs);
    });
    const completion = choices.reduce((sum, choice) => sum + choice.token_ids.length, 0);
    reply.header("x-policy-version", String(version));
    return {
      id,
      object: "chat.completion",
      created: Math.floor(Date.now() / 1000),
      model,
      system_fingerprint: `policy-v${version}`,
      prompt_token_ids: promptIds,
      choices,
      usage: {
        prompt_tokens: promptIds.length,
        completion_tokens: completion,
        total_tokens: promptIds.length + completion,
      },
    };
  });
  return app;
}

const call = markId("<call>");

function choiceOf(
  prompt: Prompt,
  id: string,
  index: number,
  ids: readonly number[],
  logprobs: readonly number[],
) {
  const calls = ids[0] === call ? [toolCall(prompt, id, ids)] : [];
  // The first token says what kind of answer it is, the last that it is over.
  const content = calls.length > 0 ? null : decodeText(ids.slice(1, -1));
  return {
    index,
    message: {
      role: "assistant",
      content,
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
    },
    finish_reason: calls.length > 0 ? "tool_calls" : "stop",
    token_ids: ids,
    logprobs: {
      content: ids.map((token, i) => ({
        token: textOf(token),
        logprob: logprobs[i] ?? 0,
        bytes: [...Buffer.from(textOf(token), "utf8")],
        top_logprobs: [],
      })),
    },
  };
}

function toolCall(prompt: Prompt, id: string, ids: readonly number[]) {
  const [, name, ...values] = ids;
  const declared = prompt.functions.find((each) => each.name === name);
  const parameters = declared?.parameters ?? [];
  const named = parameters.map((parameter, i) => [
    decodeText(parameter.name),
    decodeText(values.slice(i, i + 1)),
  ]);
  return {
    id: `call-${id}`,
    type: "function",
    function: {
      name: decodeText(name === undefined ? [] : [name]),
      arguments: JSON.stringify(Object.fromEntries(named)),
    },
  };
}

type Refused = { readonly refused: string; readonly param: string };

const roles = new Set(["system", "developer", "user", "assistant", "tool"]);

function readAsked(body: unknown): Asked | Refused {
  if (!isObject(body)) return { refused: "the body must be a JSON object", param: "body" };
  const { messages, tools = [], temperature = 1, n = 1, stream } = body;
  if (!Array.isArray(messages) || messages.length === 0) {
    return { refused: "messages must be a list of at least one message", param: "messages" };
  }
  const odd = messages.findIndex((m) => !isObject(m) || !roles.has(String(m.role)));
  if (odd >= 0) {
    return {
      refused: `messages[${odd}].role must be one of ${[...roles].join(", ")}`,
      param: "messages",
    };
  }
  const oddTool = Array.isArray(tools)
    ? tools.findIndex(
        (t) => !isObject(t) || !isObject(t.function) || typeof t.function.name !== "string",
      )
    : 0;
  if (oddTool >= 0)
    return { refused: `tools[${oddTool}].function.name must be text`, param: "tools" };
  if (typeof temperature !== "number" || !(temperature >= 0 && temperature <= 2)) {
    return {
      refused: `temperature is ${JSON.stringify(temperature)}, allowed is 0 to 2`,
      param: "temperature",
    };
  }
  if (typeof n !== "number" || !Number.isInteger(n) || n < 1 || n > mostChoices) {
    return { refused: `n is ${JSON.stringify(n)}, allowed is 1 to ${mostChoices}`, param: "n" };
  }
  if (stream === true) return { refused: "stream is not supported by this model", param: "stream" };
  return { messages, tools: tools as Tool[], temperature, n };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** OpenAI's shape of an error. */
function refuse(reply: FastifyReply, status: number, message: string, param: string | null) {
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  return reply.code(status).send({ error: { message, type, param, code: null } });
}
