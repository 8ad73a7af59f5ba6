import OpenAI from "openai";
import { emitReward } from "../../agent/emit.ts";
import { createLightning } from "../../agent/lightning.ts";
import { instrumentOpenAI } from "../../agent/openai.ts";
import { withOperation } from "../../agent/operation.ts";
import { createOtlpExporter } from "../../agent/otlp-exporter.ts";
import { firstPrompts, judge, type Prompts, praise } from "./agents.ts";
import { askJson, type Batch, rowsOf, type Trained } from "./api.ts";
import type { Recipe } from "./recipes.ts";

export type RunOptions = {
  /** Base URLs, without a project. */
  readonly gatewayUrl: string;
  readonly trainerUrl: string;
  /** An OpenAI-compatible endpoint. */
  readonly model: { readonly url: string; readonly name: string; readonly apiKey: string };
  /** Each thing is a group of `tries` rollouts. */
  readonly things: readonly string[];
  readonly tries: number;
};

/** Rows that a policy was trained on, and the version of the prompts that came of it. */
export type PolicyRun = {
  readonly policy: string;
  readonly rows: number;
  readonly version: number;
};

const resourcesId = "two-agents";

/** How long the pipeline may take to credit what ran, ms. */
const patienceMs = 60_000;

/**
 * Runs the two agents on every thing, then trains each policy of the recipe on its own rows: a
 * policy's prompt gets the line with the highest advantage as an example. What a recipe does not
 * select is recorded all the same, it only gives no training rows.
 */
export async function runRecipe(recipe: Recipe, options: RunOptions): Promise<PolicyRun[]> {
  const gateway = `${options.gatewayUrl}/projects/${recipe.project}`;
  await askJson("PUT", `${gateway}/api/v1/settings`, {
    selection: recipe.selection,
    credit: { strategy: "group-relative" },
  });
  await publishOnce(gateway, firstPrompts);
  const groups = await runAll(gateway, options);
  await credited(options, recipe.project, groups);
  const trainer = `${options.trainerUrl}/projects/${recipe.project}`;
  const runs: PolicyRun[] = [];
  for (const { policy } of recipe.selection.agents) {
    const rows = await rowCount(options.gatewayUrl, recipe.project, policy, groups);
    runs.push(await train(trainer, policy, rows));
  }
  return runs;
}

/** What an earlier run has learned stays. */
async function publishOnce(gateway: string, prompts: Prompts): Promise<void> {
  const sets = await askJson<{ resources_id: string }[]>("GET", `${gateway}/api/v1/resources`);
  if (sets?.some(({ resources_id }) => resources_id === resourcesId)) return;
  const resources = Object.fromEntries(
    Object.entries(prompts).map(([name, template]) => [
      name,
      { kind: "prompt_template", template, engine: "f-string" },
    ]),
  );
  await askJson("PUT", `${gateway}/api/v1/resources/${resourcesId}`, { resources });
}

/** Runs every try of every thing; the ids of the groups. */
async function runAll(gateway: string, options: RunOptions): Promise<string[]> {
  const { url: baseURL, name, apiKey } = options.model;
  const client = instrumentOpenAI(new OpenAI({ baseURL, apiKey, maxRetries: 2 }));
  const lightning = createLightning({
    transport: createOtlpExporter({ gatewayUrl: gateway }),
    gatewayUrl: gateway,
    register: false,
  });
  const groups: string[] = [];
  try {
    for (const thing of options.things) {
      const groupId = `${thing}-${crypto.randomUUID().slice(0, 8)}`;
      groups.push(groupId);
      const prompts = await promptsIn(gateway);
      for (let seed = 0; seed < options.tries; seed++) {
        const model = { client, name, seed };
        const about = { groupId, groupSize: options.tries, mode: "train", resourcesId } as const;
        await lightning.rollout(
          thing,
          () =>
            withOperation({ name: "praise" }, async () => {
              await emitReward(await judge(await praise(thing, prompts, model), model));
            }),
          about,
        );
      }
    }
  } finally {
    await lightning.shutdown();
  }
  return groups;
}

type Set = { readonly resources: Readonly<Record<keyof Prompts, { readonly template: string }>> };

async function promptsIn(gateway: string): Promise<Prompts> {
  const set = await askJson<Set>("GET", `${gateway}/api/v1/resources/${resourcesId}`);
  const { writer, critic } = set?.resources ?? {};
  return {
    writer: writer?.template ?? firstPrompts.writer,
    critic: critic?.template ?? firstPrompts.critic,
  };
}

/**
 * Waits until the groups are credited and all that was said of them is in ClickHouse, where tables
 * fill one after the other.
 */
async function credited(
  { gatewayUrl, tries }: RunOptions,
  project: string,
  groups: readonly string[],
): Promise<void> {
  const of = `WHERE ${isOf(project, groups)}`;
  const query = `SELECT
    (SELECT count() FROM latest_groups ${of}) AS closed,
    (SELECT count() FROM latest_assemblies ${of}) AS assembled,
    (SELECT sum(transitions) FROM latest_groups ${of}) - (SELECT count() FROM latest_transitions ${of})
      + (SELECT sum(omitted) FROM latest_assemblies ${of})
      - (SELECT count() FROM latest_omitted_calls ${of} AND kafka_topic LIKE '%steps') AS missing`;
  for (const deadline = Date.now() + patienceMs; ; ) {
    const [row] = await rowsOf<Record<"closed" | "assembled" | "missing", string>>(
      gatewayUrl,
      query,
    );
    const isWhole =
      Number(row?.closed) >= groups.length && Number(row?.assembled) >= groups.length * tries;
    if (isWhole && Number(row?.missing) === 0) return;
    if (Date.now() > deadline) {
      const seen = `${row?.closed} closed, ${row?.assembled} rollouts assembled, ${row?.missing} rows missing`;
      throw new Error(`${groups.length} groups were not credited within a minute: ${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function rowCount(
  gateway: string,
  project: string,
  policy: string,
  groups: readonly string[],
): Promise<number> {
  const query = `SELECT count() AS rows FROM latest_transitions
    WHERE ${isOf(project, groups)} AND policy = '${policy}'`;
  const [row] = await rowsOf<{ rows: string }>(gateway, query);
  return Number(row?.rows ?? 0);
}

function isOf(project: string, groups: readonly string[]): string {
  return `project = '${project}' AND group_id IN (${groups.map((id) => `'${id}'`).join(", ")})`;
}

/** Leases a policy's rows until there are no more, and acknowledges them with a new prompt. */
async function train(trainer: string, policy: string, expected: number): Promise<PolicyRun> {
  let rows = 0;
  let version = 0;
  while (rows < expected) {
    const wish = { worker_id: policy, policy, wait_seconds: 20 };
    const batch = await askJson<Batch>("POST", `${trainer}/v1/batches/lease`, wish);
    if (batch === null) break;
    rows += batch.rows.length;
    const made = { name: policy, kind: "prompt_template", json: learned(policy, batch) };
    const ack = { metrics: { rows: batch.rows.length }, resources: { resources: [made] } };
    const url = `${trainer}/v1/batches/${batch.lease_id}/ack`;
    const trained = await askJson<Trained>("POST", url, ack);
    version = trained?.version ?? version;
  }
  return { policy, rows, version };
}

/** The first prompt of the policy, with the best of what it said as an example. */
function learned(policy: string, { rows }: Batch): object {
  const best = rows.reduce((a, b) => (b.advantage > a.advantage ? b : a));
  const { content } = JSON.parse(best.completion) as { content?: string };
  const first = firstPrompts[policy === "critic" ? "critic" : "writer"];
  return { template: `${first} For example: ${content ?? ""}`, engine: "f-string" };
}
