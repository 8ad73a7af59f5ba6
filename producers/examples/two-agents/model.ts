import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** Words the model knows, from poor to good. */
const words = ["fine", "neat", "great", "dazzling"];

type Asked = {
  readonly seed?: number;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
};

export type ServedModel = { readonly url: string; close(): Promise<void> };

/**
 * A model that needs no GPU: an OpenAI-compatible endpoint that answers by rule, with token ids and
 * log-probs as an inference engine gives them. Which word it likes depends on the seed of a request.
 */
export async function serveModel(): Promise<ServedModel> {
  let calls = 0;
  const server = createServer(async (request, response) => {
    const asked = JSON.parse(await bodyOf(request)) as Asked;
    calls += 1;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(completionOf(asked, `call-${process.pid}-${calls}`)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}

function completionOf({ messages, seed = 0 }: Asked, id: string): object {
  const content = answerTo(messages.at(-1)?.content ?? "", seed);
  const token_ids = tokensOf(content);
  const prompt = messages.map((message) => `${message.role}: ${message.content}`).join("\n");
  const prompt_token_ids = tokensOf(prompt);
  const logprobs = token_ids.map((token) => ({ token: String(token), logprob: -0.5 }));
  return {
    id,
    object: "chat.completion",
    model: "rule",
    prompt_token_ids,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content },
        finish_reason: "stop",
        token_ids,
        logprobs: { content: logprobs },
      },
    ],
    usage: {
      prompt_tokens: prompt_token_ids.length,
      completion_tokens: token_ids.length,
      total_tokens: prompt_token_ids.length + token_ids.length,
    },
  };
}

/** Drafts, comments and grades; a second draft takes the critic's word. */
function answerTo(request: string, seed: number): string {
  if (request.startsWith("Grade: ")) {
    return String(words.findLastIndex((word) => request.includes(word)) / (words.length - 1));
  }
  const liked = words[seed % words.length] ?? "";
  if (!request.startsWith("Praise ")) return `Say ${liked} instead.`;
  const said = / said: Say (\w+) instead/.exec(request)?.[1];
  return `${/^Praise (.*?)\./.exec(request)?.[1] ?? "It"} is ${said ?? words[0]}.`;
}

/** A token per UTF-8 byte. */
function tokensOf(text: string): number[] {
  return [...Buffer.from(text, "utf8")];
}
