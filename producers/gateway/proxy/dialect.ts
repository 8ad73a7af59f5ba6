import { type Answer, answerTo, errorBody } from "../errors.ts";
import { type Json, listOf, objectOf } from "./reading.ts";

/** How an agent asks and is answered. Engines are asked as OpenAI has it, whatever the agent speaks. */
export type Dialect = {
  /** Where the engine is asked, below its endpoint. */
  readonly enginePath: "chat/completions" | "completions";
  /** The body for the engine. @throws LightningError `request-invalid` naming the field. */
  readonly request: (asked: Json) => Json;
  /** The engine's answer as the agent gets it: `content` is its text, `whole` the object it stands for. */
  readonly answer: (content: string, whole: Json, asked: Json) => string;
  /** An engine's refusal, without secrets. */
  readonly refusal: (content: string, status: number) => string;
  /** Of answers and refusals; null: as the engine says. */
  readonly contentType: string | null;
  readonly stream: (asked: Json) => StreamWriter;
  /** The body of an error of ours. */
  readonly errorBody: (answer: Answer) => object;
};

/** Writes for the agent what an engine streams. */
export type StreamWriter = {
  /** What the agent gets for an event, `bytes` as they came; nothing for one that is not for it. */
  event(bytes: Buffer, chunk: Json | null): Buffer | null;
  /** The end, once the call is durable; `bytes` of the engine's `[DONE]`, null without one. */
  end(bytes: Buffer | null): Buffer | null;
  /** What comes instead of an end. */
  failed(error: unknown): Buffer;
};

/** OpenAI's: what the engine says goes on unchanged. */
export function openAi(enginePath: Dialect["enginePath"]): Dialect {
  return {
    enginePath,
    request: (asked) => asked,
    answer: (content) => content,
    refusal: (content) => content,
    contentType: null,
    stream: (asked) => ({
      event: (bytes, chunk) => (chunk !== null && isOurUsage(asked, chunk) ? null : bytes),
      end: (bytes) => bytes,
      // As engines tell errors inside a stream; there is no [DONE] behind it.
      failed: (error) => Buffer.from(`data: ${JSON.stringify(errorBody(answerTo(error)))}\n\n`),
    }),
    errorBody,
  };
}

/** The chunk with the usage that we asked for and the agent did not. */
function isOurUsage(asked: Json, { choices, usage }: Json): boolean {
  const isAsked = objectOf(asked.stream_options)?.include_usage === true;
  return !isAsked && listOf(choices).length === 0 && objectOf(usage) !== null;
}
