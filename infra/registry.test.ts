import assert from "node:assert/strict";
import { after, test } from "node:test";
import { pino } from "pino";
import { codeOf } from "../schemas/errors.ts";
import { bundled } from "../schemas/records.ts";
import { buildRegistry } from "./embedded/registry.ts";
import type { SchemasRecord } from "./embedded/registry-records.ts";
import { createRegistryClient } from "./registry.ts";
import { listen } from "./roles.ts";

const logger = pino({ level: "silent" });

/** The registry's topic, in memory: what is appended is told to whoever tails. */
function memoryTopic() {
  const records: SchemasRecord[] = [];
  const tails: ((record: SchemasRecord) => unknown)[] = [];
  return {
    async append(key: Buffer, value: Buffer | null) {
      const record = { offset: records.length, key, value };
      records.push(record);
      for (const tail of tails) await tail(record);
      return record.offset;
    },
    async tail(onRecord: (record: SchemasRecord) => unknown) {
      tails.push(onRecord);
      return { caughtUpTo: async () => undefined, close: async () => undefined };
    },
  };
}

const registry = await buildRegistry({ log: memoryTopic(), logger });
const asked: string[] = [];
registry.addHook("onRequest", async (request) => {
  asked.push(`${request.method} ${request.url}`);
});
const url = await listen(registry, "127.0.0.1", 0);
after(() => registry.close());

test("a schema is registered once and then looked up, also by another client", async () => {
  const { text } = bundled.TimerSet;
  const first = await createRegistryClient({ url }, logger).idOf("t-lightning.TimerSet", text);
  asked.length = 0;
  const second = await createRegistryClient({ url }, logger).idOf("t-lightning.TimerSet", text);
  assert.equal(second, first);
  assert.equal(asked.filter((one) => one.includes("/versions")).length, 0, asked.join(", "));
});

test("a new subject is checked against all its versions; a level somebody chose is kept", async () => {
  const { text } = bundled.TimerSet;
  const level = async (subject: string) => {
    const answer = await (await fetch(`${url}/config/${subject}`)).json();
    return (answer as { compatibilityLevel: string }).compatibilityLevel;
  };
  const client = createRegistryClient({ url }, logger);
  await client.idOf("new-lightning.TimerSet", text);
  assert.equal(await level("new-lightning.TimerSet"), "BACKWARD_TRANSITIVE");
  await fetch(`${url}/config/chosen-lightning.TimerSet`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ compatibility: "FULL" }),
  });
  await client.idOf("chosen-lightning.TimerSet", text);
  assert.equal(await level("chosen-lightning.TimerSet"), "FULL");
});

test("a schema another build wrote is learnt whole", async () => {
  const { text } = bundled.SpanRecorded;
  const id = await createRegistryClient({ url }, logger).idOf("s-lightning.SpanRecorded", text);
  const learnt = JSON.parse(await createRegistryClient({ url }, logger).schemaOf(id));
  assert.equal(learnt.name.replace("lightning.", ""), "SpanRecorded");
  const names = (schema: { fields: { name: string }[] }) => schema.fields.map((f) => f.name);
  assert.deepEqual(names(learnt), names(JSON.parse(text)));
});

test("an unknown id is asked for once for all who ask, and then not again for a while", async () => {
  const client = createRegistryClient({ url }, logger);
  asked.length = 0;
  const all = await Promise.allSettled(Array.from({ length: 50 }, () => client.schemaOf(4711)));
  await client.schemaOf(4711).catch(() => undefined);
  for (const one of all) {
    assert.equal(one.status === "rejected" && codeOf(one.reason), "schema-unknown");
  }
  assert.equal(asked.length, 1);
});

test("a registry that is away is told apart from a schema nobody knows", async () => {
  const gone = createRegistryClient({ url: "http://127.0.0.1:9" }, logger);
  await assert.rejects(gone.schemaOf(1), (error) => codeOf(error) === "registry-unavailable");
});
