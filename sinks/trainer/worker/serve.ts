import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";
import { argumentValue, encodeChat } from "./chat.ts";
import { type Generated, generate, type Policy } from "./policy.ts";
import { contextLength, type Prompt, readPrompt } from "./prompt.ts";
import { type Random, seededRandom } from "./random.ts";
import { ChatRequest, type Tool } from "./request.ts";
import { decodeText } from "./tokenizer.ts";
import { byteOf, markId, textOf } from "./vocabulary.ts";

/** The policy that answers now, and its version in the log; replaced whole when it was trained. */
export type Served = { policy: Policy; version: number };

export type ServeOptions = {
  readonly served: Served;
  readonly model: string;
  readonly random: Random;
};

// A prompt that fits the context is a tenth of this; what does not fit is costly to find out.
const bodyLimit = 256 * 1024;

/**
 * The model over OpenAI's protocol: `/v1/chat/completions` and `/v1/models`. Answers carry
 * `prompt_token_ids`, `choices[].token_ids` and log-probs, as vLLM's do when asked, and the policy
 * version in `system_fingerprint` (`policy-v3`) and the header `x-policy-version`. Log-probs are the
 * policy's own whatever the temperature. Errors are OpenAI's.
 */
export function buildModelServer({ served, model, random }: ServeOptions): FastifyInstance {
  const customOptions = { coerceTypes: false as const, removeAdditional: false };
  const app = Fastify({ bodyLimit, ajv: { customOptions } });
  let answers = 0;
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    refuse(reply, 404, `there is no ${request.method} ${request.url}`, null),
  );
  app.get("/v1/models", async () => ({
    object: "list",
    data: [{ id: model, object: "model", created: 0, owned_by: "lightning-stream" }],
  }));
  app.post<{ Body: ChatRequest }>(
    "/v1/chat/completions",
    { schema: { body: ChatRequest } },
    async ({ body }, reply) => {
      const { policy, version } = served;
      const tools = body.tool_choice === "none" ? [] : (body.tools ?? []);
      const promptIds = encodeChat(body.messages, tools);
      if (promptIds.length > contextLength) return refuseLength(reply, promptIds.length);
      answers += 1;
      const id = `chatcmpl-${version}-${answers}-${process.pid}`;
      const choices = choicesOf(policy, body, tools, readPrompt(promptIds), random, id);
      reply.header("x-policy-version", String(version));
      return {
        id,
        object: "chat.completion",
        created: Math.floor(Date.now() / 1000),
        model,
        system_fingerprint: `policy-v${version}`,
        prompt_token_ids: promptIds,
        choices,
        usage: usageOf(promptIds.length, choices),
      };
    },
  );
  return app;
}

type Choice = ReturnType<typeof choiceOf>;

function choicesOf(
  policy: Policy,
  body: ChatRequest,
  tools: readonly Tool[],
  prompt: Prompt,
  random: Random,
  id: string,
): Choice[] {
  const most = body.max_completion_tokens ?? body.max_tokens ?? Number.POSITIVE_INFINITY;
  const drawn = body.seed == null ? random : seededRandom(body.seed);
  return Array.from({ length: body.n ?? 1 }, (_, index) => {
    const generated = generate(policy, prompt, body.temperature ?? 1, drawn, most);
    return choiceOf(prompt, tools, `${id}-${index}`, index, generated);
  });
}

function usageOf(promptTokens: number, choices: readonly Choice[]) {
  const completionTokens = choices.reduce((sum, { token_ids: ids }) => sum + ids.length, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

const call = markId("<call>");
const end = markId("<end>");

function choiceOf(
  prompt: Prompt,
  tools: readonly Tool[],
  id: string,
  index: number,
  { ids, logprobs }: Generated,
) {
  const complete = ids.at(-1) === end;
  const calls = complete && ids[0] === call ? [toolCall(prompt, tools, id, ids)] : [];
  // The first token says what kind of answer it is, the last that it is over.
  const said = ids[0] === call ? null : decodeText(ids.slice(1, complete ? -1 : undefined));
  const message = { role: "assistant", content: said };
  const finished = calls.length > 0 ? "tool_calls" : "stop";
  return {
    index,
    message: calls.length > 0 ? { ...message, tool_calls: calls } : message,
    finish_reason: complete ? finished : "length",
    token_ids: ids,
    logprobs: { content: ids.map((token, i) => logprobOf(token, logprobs[i] ?? 0)) },
  };
}

function logprobOf(token: number, logprob: number) {
  const byte = byteOf(token);
  const bytes = byte === undefined ? [...Buffer.from(textOf(token), "utf8")] : [byte];
  return { token: textOf(token), logprob, bytes, top_logprobs: [] };
}

function toolCall(prompt: Prompt, tools: readonly Tool[], id: string, ids: readonly number[]) {
  const [, nameId = end, ...values] = ids;
  const name = decodeText([nameId]);
  const tool = tools.find((each) => each.function.name === name);
  const parameters = prompt.functions.find((each) => each.name === nameId)?.parameters ?? [];
  const given = parameters.map((parameter, i) => {
    const key = decodeText(parameter.name);
    return [key, argumentValue(tool, key, decodeText(values.slice(i, i + 1)))];
  });
  return {
    id: `call-${id}`,
    type: "function",
    function: { name, arguments: JSON.stringify(Object.fromEntries(given)) },
  };
}

function answerError(error: FastifyError, _request: unknown, reply: FastifyReply): FastifyReply {
  const [invalid] = error.validation ?? [];
  if (invalid !== undefined) {
    // "/messages/0/role" is how JSON Schema writes messages[0].role.
    const path = invalid.instancePath.slice(1).replaceAll(/\/(\d+)/g, "[$1]");
    const param = path.replaceAll("/", ".") || "body";
    return refuse(reply, 400, `${param} ${whatIsAllowed(error.validation ?? [])}`, param);
  }
  const status = error.statusCode ?? 500;
  return refuse(reply, status, status >= 500 ? "the model failed" : error.message, null);
}

function whatIsAllowed(errors: NonNullable<FastifyError["validation"]>): string {
  const [first] = errors;
  const constants = errors
    .filter((each) => each.keyword === "const" && each.instancePath === first?.instancePath)
    .map(({ params }) => JSON.stringify(params.allowedValue));
  if (constants.length > 0) return `must be ${constants.join(" or ")}`;
  return first?.message ?? "is not as it must be";
}

function refuseLength(reply: FastifyReply, tokens: number): FastifyReply {
  const message = `the prompt is ${tokens} tokens long, this model reads at most ${contextLength}`;
  return refuse(reply, 400, message, "messages", "context_length_exceeded");
}

/** OpenAI's shape of an error. */
function refuse(
  reply: FastifyReply,
  status: number,
  message: string,
  param: string | null,
  code: string | null = null,
): FastifyReply {
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  return reply.code(status).send({ error: { message, type, param, code } });
}
