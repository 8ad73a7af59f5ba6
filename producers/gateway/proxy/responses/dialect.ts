import { errorBody } from "../../errors.ts";
import type { Dialect } from "../dialect.ts";
import { responseOf } from "./answer.ts";
import { chatRequest } from "./request.ts";
import { responseStream } from "./stream.ts";

/**
 * OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses) on engines that
 * speak chat completions, so that token ids are recorded as for any other call. Nothing is stored
 * between requests: a conversation is sent whole, as with `store: false`.
 */
export const openAiResponses: Dialect = {
  enginePath: "chat/completions",
  request: chatRequest,
  answer: (_, whole, asked) => JSON.stringify(responseOf(asked, whole)),
  refusal: (content) => content,
  contentType: null,
  stream: responseStream,
  errorBody,
};
