import type OpenAI from "openai";
import { rewardOperation } from "../../agent/names.ts";
import { withOperation } from "../../agent/operation.ts";

/** The instruction of each agent: resources of kind `prompt_template`, named as their policies. */
export type Prompts = { readonly writer: string; readonly critic: string };

export const firstPrompts: Prompts = {
  writer: "You write one line of praise for what you are told.",
  critic: "You say in one sentence what would make a line of praise better.",
};

/** A model and how to sample it; the seed makes the tries of one task differ. */
export type Model = { readonly client: OpenAI; readonly name: string; readonly seed: number };

/**
 * Writes a line about a thing: the writer drafts, the critic comments, the writer writes again. An
 * agent is a span with the attribute `agent.name`, as frameworks write it; what the agent calls
 * stands below it.
 */
export async function praise(thing: string, prompts: Prompts, model: Model): Promise<string> {
  const asWriter = (request: string): Promise<string> =>
    asAgent("writer", () => ask(model, prompts.writer, request));
  const draft = await asWriter(`Praise ${thing}.`);
  const comment = await asAgent("critic", () => ask(model, prompts.critic, draft));
  return asWriter(`Praise ${thing}. Your draft was: ${draft} The critic said: ${comment}`);
}

/**
 * How good a line is, 0 to 1, as the model itself judges. The judge's call stands below a reward, so
 * no recipe takes it for an agent's.
 */
export function judge(line: string, model: Model): Promise<number> {
  return withOperation({ name: rewardOperation }, async () => {
    const answer = await ask(
      model,
      "You answer with a number from 0 to 1 alone.",
      `Grade: ${line}`,
    );
    const grade = Number.parseFloat(answer);
    return Number.isFinite(grade) ? Math.min(1, Math.max(0, grade)) : 0;
  });
}

function asAgent<T>(name: string, work: () => T): T {
  return withOperation({ name, attributes: { "agent.name": name } }, work);
}

async function ask({ client, name, seed }: Model, system: string, user: string): Promise<string> {
  const completion = await client.chat.completions.create({
    model: name,
    seed,
    messages: [
      { role: "system", content: system },
      { role: "user", content: user },
    ],
  });
  return completion.choices[0]?.message.content ?? "";
}
