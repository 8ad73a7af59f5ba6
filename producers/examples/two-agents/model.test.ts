import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { serveModel } from "./model.ts";

type Completion = OpenAI.Chat.Completions.ChatCompletion & {
  readonly prompt_token_ids: readonly number[];
  readonly choices: readonly { readonly token_ids: readonly number[] }[];
};

test("the model drafts, comments, takes a comment and grades, with the tokens of each answer", async () => {
  const served = await serveModel();
  try {
    const client = new OpenAI({ baseURL: served.url, apiKey: "none" });
    const ask = async (content: string, seed: number): Promise<string> => {
      const messages = [{ role: "user" as const, content }];
      const answer = (await client.chat.completions.create({
        model: "rule",
        messages,
        seed,
      })) as Completion;
      const [choice] = answer.choices;
      const said = choice?.message.content ?? "";
      assert.equal(Buffer.from(choice?.token_ids ?? []).toString("utf8"), said);
      assert.equal(choice?.logprobs?.content?.length, choice?.token_ids.length);
      return said;
    };
    const draft = await ask("Praise the sea.", 3);
    assert.equal(draft, "the sea is fine.");
    const comment = await ask(draft, 3);
    const line = await ask(
      `Praise the sea. Your draft was: ${draft} The critic said: ${comment}`,
      3,
    );
    assert.equal(line, "the sea is dazzling.");
    assert.deepEqual([await ask(`Grade: ${draft}`, 3), await ask(`Grade: ${line}`, 0)], ["0", "1"]);
    assert.notEqual(await ask(draft, 0), comment);
  } finally {
    await served.close();
  }
});
