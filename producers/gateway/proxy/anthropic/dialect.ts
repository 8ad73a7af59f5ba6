import type { Answer } from "../../errors.ts";
import type { Dialect } from "../dialect.ts";
import { objectOf, parsedObject, textOf } from "../reading.ts";
import { errorOf, messageOf } from "./answer.ts";
import { chatRequest } from "./request.ts";
import { anthropicStream } from "./stream.ts";

/**
 * Anthropic's Messages API (https://docs.anthropic.com/en/api/messages) on engines that speak
 * OpenAI's: a request is sent on as a chat completion, so that token ids are recorded as for any
 * other. What only Anthropic's servers can do (server tools, documents, caching) is refused, or left
 * out where it changes nothing that is said.
 */
export const anthropic: Dialect = {
  enginePath: "chat/completions",
  request: chatRequest,
  answer: (_, whole) => JSON.stringify(messageOf(whole)),
  refusal(content, status) {
    const said = objectOf(parsedObject(content)?.error);
    return JSON.stringify(errorOf(status, textOf(said?.message) ?? content.slice(0, 2000)));
  },
  contentType: "application/json",
  stream: anthropicStream,
  errorBody: ({ status, message }: Answer) => errorOf(status, message),
};
