import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { questions } from "../../sinks/clickhouse/questions.ts";
import { commands } from "../commands/commands.ts";
import { childEnvironment, readConfig } from "../config.ts";
import { roleNames, roles } from "../roles.ts";
import { type Supervised, supervise } from "../supervise.ts";
import { pythonWith } from "./python.ts";
import { openTerminal, type Snippet, snippetsOf, type Terminal } from "./snippets.ts";
import {
  freePort,
  type RoleProcess,
  type Stack,
  startRoleProcess,
  startStack,
  until,
} from "./stack.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(`${root}README.md`, "utf8");
const snippets = snippetsOf(page);
const byLanguage = (language: string): readonly Snippet[] =>
  snippets.filter((snippet) => snippet.language === language && snippet.tested);

describe("the README", () => {
  test("marks every block that could be run, and nothing it runs is of an unknown kind", () => {
    const free = snippets.filter(({ tested }) => !tested).map(({ language }) => language);
    assert.deepEqual([...new Set(free)].sort(), ["sh", "text"]);
    const run = snippets.filter(({ tested }) => tested).map(({ language }) => language);
    assert.deepEqual([...new Set(run)].sort(), ["bash", "ini", "python", "sql", "ts"]);
  });

  test("names commands, scripts and roles that exist", () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
      scripts: Record<string, string>;
    };
    const known = new Set(["help", "--help", ...Object.keys(commands), ...roleNames]);
    for (const [, name = ""] of page.matchAll(/npm run (\w+(?::\w+)*)/g))
      assert.ok(name in scripts, name);
    for (const [, word = ""] of page.matchAll(/npx lightning ([\w-]+)/g))
      assert.ok(known.has(word), word);
    for (const [, path = ""] of page.matchAll(/docker compose -f (\S+)/g))
      assert.ok(existsSync(root + path), path);
  });

  test("links to files that exist", () => {
    const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path = ""]) => path);
    assert.ok(links.length > 20);
    for (const path of links) assert.ok(existsSync(root + path), path);
  });

  test("quotes the questions that come with the tables, all eleven and exactly", () => {
    const quoted = byLanguage("sql").map(({ text }) => text);
    assert.equal(quoted.length, 11);
    assert.deepEqual(
      quoted,
      questions().map(({ sql }) => sql),
    );
  });

  test("shows settings that exist, with values that are allowed", () => {
    for (const { text } of byLanguage("ini")) {
      const settings = Object.fromEntries(text.split("\n").map((line) => line.split(/=(.*)/)));
      const values = readConfig(settings);
      for (const name of Object.keys(settings)) assert.ok(name in values, name);
    }
  });
});

describe("on a real broker and a real database", () => {
  let stack: Stack;
  let everyRole: RoleProcess;
  let model: Supervised;
  let terminal: Terminal;
  let python: string | null = null;
  const addresses: Record<string, string> = {};
  /** The page's ports are those of `npm start`; the test has free ones. */
  const rewrite = (text: string): string =>
    text.replaceAll(/127\.0\.0\.1:(47\d\d)/g, (whole, port: string) => addresses[port] ?? whole);

  before(async () => {
    stack = await startStack();
    const [gateway, trainer] = [await freePort(), await freePort()];
    const args = ["--port", String(gateway), "--trainer-port", String(trainer)];
    everyRole = startRoleProcess(stack, roleNames, { args });
    addresses[roles.gateway.port] = `127.0.0.1:${gateway}`;
    addresses[roles.trainer.port] = `127.0.0.1:${trainer}`;
    addresses["4749"] = new URL(stack.settings.SCHEMA_REGISTRY_URL ?? "").host;
    addresses["4750"] = new URL(stack.clickhouse.url).host;
    addresses["4751"] = stack.kafka.brokers;
    const settings = {
      ...stack.settings,
      LIGHTNING_URL: rewrite("http://127.0.0.1:4747"),
      LIGHTNING_TRAINER_URL: rewrite("http://127.0.0.1:4748"),
    };
    await everyRole.ready();
    // As in `npm start`, where it trains, too: here its leases are nobody's business.
    const worker = ["worker", "--port", "0", "--no-train"];
    model = await supervise(worker, settings, stack.context.logger);
    addresses["4752"] = new URL(model.addresses.worker ?? "").host;
    python = await pythonWith({
      numpy: "numpy",
      "opentelemetry-sdk": "opentelemetry.sdk",
      "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
    });
    const interpreter = python ?? "python3";
    // By its path: a login's own settings may put another python3 before it.
    const page = (text: string): string => rewrite(text).replace(/^python3 /gm, `${interpreter} `);
    terminal = openTerminal(childEnvironment(settings), page, interpreter);
  });

  after(async () => {
    terminal?.close();
    await model?.stop();
    await everyRole?.stop();
    await stack?.close();
  });

  for (const snippet of snippets.filter(({ tested, language }) => tested && language !== "ini")) {
    const { section, language, line } = snippet;
    test(`"${section}", line ${line}: the ${language} works as it stands`, async (t) => {
      if (language === "sql") return asked(snippet);
      if (skipped(t, snippet)) return;
      const before = snippets.find(({ name }) => name !== undefined && name === snippet.after);
      assert.equal(before?.name, snippet.after);
      if (before !== undefined) await terminal.run(before);
      t.diagnostic(await terminal.run(snippet));
    });
  }

  test("what the page did is in the tables: spans of all four ways, and two trained batches", async () => {
    const query = `SELECT name, uniqExact(rollout_id) AS rollouts FROM spans
      WHERE project = 'default' AND name IN ('openai.chat.completion', 'plan', 'list_rooms')
      GROUP BY name ORDER BY name`;
    // The library's rollout and the proxy's have a call each.
    const expected = { list_rooms: 1, "openai.chat.completion": 2, plan: 1 };
    let found = "";
    await until(
      () => `found ${found}`,
      30_000,
      async () => {
        const spans = await ask(query);
        const batches = await ask(
          "SELECT batch_id FROM batches WHERE event = 'trained' AND project = 'tutorial'",
        );
        const counted = spans.map(({ name, rollouts }) => [name, Number(rollouts)]);
        found = JSON.stringify([Object.fromEntries(counted), batches.length]);
        return found === JSON.stringify([expected, 2]);
      },
    );
  });

  type Row = Readonly<Record<string, unknown>>;

  async function ask(query: string): Promise<readonly Row[]> {
    const answer = await fetch(`${rewrite("http://127.0.0.1:4747")}/api/v1/sql`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query }),
    });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return (JSON.parse(text) as { data: Row[] }).data;
  }

  /** Questions about what goes wrong have no rows when nothing did. */
  const mayBeEmpty = [
    "retries",
    "late spans",
    "why no transition",
    "dead letters by reason",
    "staleness of trained batches",
  ];

  async function asked({ text }: Snippet): Promise<void> {
    const name = questions().find(({ sql }) => sql === text)?.name ?? "";
    if (mayBeEmpty.includes(name)) await ask(text);
    else
      await until(
        () => `no rows for ${name}`,
        30_000,
        async () => (await ask(text)).length > 0,
      );
  }

  function skipped(t: TestContext, { language, text }: Snippet): boolean {
    const tools = { bash: ["curl", "jq", "openssl"], ts: [], python: [] }[language] ?? [];
    const missing = tools.find((tool) => spawnSync(tool, ["--version"]).error !== undefined);
    const noPython = python === null && (language === "python" || /^python3 /m.test(text));
    const why = noPython ? "python3" : missing;
    if (why !== undefined) t.skip(`${why} is missing`);
    return why !== undefined;
  }
});
