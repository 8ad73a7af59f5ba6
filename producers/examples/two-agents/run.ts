/**
 * Two agents, one model or two: `node --import tsx producers/examples/two-agents/run.ts`, beside
 * `npm start`. `--help` says what can be chosen.
 */
import { parseArgs } from "node:util";
import { rowsOf } from "./api.ts";
import { serveModel } from "./model.ts";
import { type RecipeName, recipeNames, recipes } from "./recipes.ts";
import { runRecipe } from "./run-recipe.ts";

const usage = `A writer and a critic, trained from the same rollouts.

  --recipe NAME     ${recipeNames.join(" or ")}; each after the other unless said
  --gateway URL     http://127.0.0.1:4747 unless said
  --trainer URL     http://127.0.0.1:4748 unless said
  --tries N         rollouts of each task, 4 unless said
  --model-url URL   an OpenAI-compatible endpoint in place of the model that comes along
  --model NAME      its model
  --api-key KEY     its key
`;

const { values } = parseArgs({
  options: {
    recipe: { type: "string" },
    gateway: { type: "string", default: "http://127.0.0.1:4747" },
    trainer: { type: "string", default: "http://127.0.0.1:4748" },
    tries: { type: "string", default: "4" },
    "model-url": { type: "string" },
    model: { type: "string", default: "rule" },
    "api-key": { type: "string", default: "none" },
    help: { type: "boolean", default: false },
  },
});

const things = ["the sea", "a bicycle", "rye bread"];

type Counted = { readonly agent: string; readonly policy: string; readonly transitions: string };
type Omitted = { readonly reason: string; readonly agent: string; readonly calls: string };

async function main(): Promise<void> {
  if (values.help) return say(usage);
  const chosen = recipeNames.filter((name) => (values.recipe ?? name) === name);
  if (chosen.length === 0) throw new Error(`--recipe: read ${values.recipe}, ${allowedRecipes}`);
  const tries = Number(values.tries);
  if (!Number.isInteger(tries) || tries < 1) throw new Error(`--tries: read ${values.tries}`);
  const own = values["model-url"] === undefined ? await serveModel() : undefined;
  try {
    for (const name of chosen) await runOne(name, tries, own?.url ?? values["model-url"] ?? "");
  } finally {
    await own?.close();
  }
}

const allowedRecipes = `allowed are ${recipeNames.join(", ")}`;

async function runOne(name: RecipeName, tries: number, url: string): Promise<void> {
  const recipe = recipes[name];
  const runs = await runRecipe(recipe, {
    gatewayUrl: values.gateway,
    trainerUrl: values.trainer,
    model: { url, name: values.model, apiKey: values["api-key"] },
    things,
    tries,
  });
  const { gateway } = values;
  const of = `WHERE project = '${recipe.project}' GROUP BY ALL ORDER BY ALL`;
  const made = await rowsOf<Counted>(
    gateway,
    `SELECT agent, policy, count() AS transitions FROM latest_transitions ${of}`,
  );
  const omitted = await rowsOf<Omitted>(
    gateway,
    `SELECT reason, agent, count() AS calls FROM latest_omitted_calls ${of}`,
  );
  say(`recipe ${name}, project ${recipe.project}\n`);
  for (const { agent, policy, transitions } of made) {
    say(`  ${transitions} transitions of ${agent} for the policy ${policy}\n`);
  }
  for (const { reason, agent, calls } of omitted) {
    say(`  ${calls} calls${agent === "" ? "" : ` of ${agent}`} gave none: ${reason}\n`);
  }
  for (const { policy, rows, version } of runs) {
    say(`  ${policy} was trained on ${rows} rows: version ${version} of the prompts\n`);
  }
}

function say(text: string): void {
  process.stdout.write(text);
}

try {
  await main();
} catch (error) {
  const { message, cause } = error as Error;
  process.stderr.write(`${message}${cause instanceof Error ? `: ${cause.message}` : ""}\n`);
  process.exitCode = 1;
}
