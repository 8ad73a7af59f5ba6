import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { buildRegistry } from "./registry.ts";
import { readFact, type SchemasLog, type SchemasRecord } from "./registry-records.ts";

/** The topic in memory: what every instance on it reads, in one order. */
class MemoryLog implements SchemasLog {
  readonly records: SchemasRecord[] = [];
  readonly #readers = new Set<(record: SchemasRecord) => void | Promise<void>>();

  async append(key: Buffer, value: Buffer | null): Promise<number> {
    // Long enough for another instance to append in between.
    await new Promise((done) => setImmediate(done));
    const record = { offset: this.records.length, key, value };
    this.records.push(record);
    for (const reader of this.#readers) await reader(record);
    return record.offset;
  }

  async tail(onRecord: (record: SchemasRecord) => void | Promise<void>) {
    for (const record of this.records) await onRecord(record);
    this.#readers.add(onRecord);
    return { caughtUpTo: async () => {}, close: async () => void this.#readers.delete(onRecord) };
  }

  /** What Kafka's compaction leaves: the last record of each key. */
  compacted(): MemoryLog {
    const last = new Map(this.records.map((record) => [String(record.key), record]));
    const log = new MemoryLog();
    log.records.push(...[...last.values()].sort((a, b) => a.offset - b.offset));
    return log;
  }

  put(key: object, value: object | null): void {
    const bytes = (json: object) => Buffer.from(JSON.stringify(json));
    const record = { key: bytes(key), value: value === null ? null : bytes(value) };
    this.records.push({ offset: this.records.length, ...record });
  }
}

const open = (log = new MemoryLog()) => buildRegistry({ log, logger: pino({ level: "silent" }) });

const contentType = "application/vnd.schemaregistry.v1+json";
type Method = "GET" | "POST" | "PUT" | "DELETE";
async function ask(app: FastifyInstance, method: Method, url: string, body?: object) {
  const response = await app.inject({ method, url, ...(body === undefined ? {} : { body }) });
  return {
    status: response.statusCode,
    body: response.json(),
    type: response.headers["content-type"],
  };
}

const avro = (fields: readonly object[], name = "Span") =>
  JSON.stringify({ type: "record", name, fields });
const id = { name: "id", type: "string" };
const note = { name: "note", type: "string", default: "" };
const must = { name: "must", type: "long" };

const register = (app: FastifyInstance, subject: string, schema: string) =>
  ask(app, "POST", `/subjects/${subject}/versions`, { schema });

describe("registry", () => {
  it("a schema keeps its id, in every subject and however it is spaced", async () => {
    const app = await open();
    assert.deepEqual((await register(app, "a", avro([id]))).body, { id: 1 });
    assert.deepEqual((await register(app, "a", avro([id]))).body, { id: 1 });
    assert.deepEqual(
      (await register(app, "b", JSON.stringify(JSON.parse(avro([id])), null, 2))).body,
      { id: 1 },
    );
    assert.deepEqual((await register(app, "a", avro([id, note]))).body, { id: 2 });
    const found = await ask(app, "GET", "/schemas/ids/1");
    assert.deepEqual(found.body, { schema: avro([id]) });
    assert.match(String(found.type), /application\/vnd\.schemaregistry\.v1\+json/);
    assert.deepEqual((await ask(app, "GET", "/subjects")).body, ["a", "b"]);
    assert.deepEqual((await ask(app, "GET", "/subjects/a/versions")).body, [1, 2]);
    assert.deepEqual((await ask(app, "GET", "/subjects/a/versions/latest")).body, {
      subject: "a",
      version: 2,
      id: 2,
      schema: avro([id, note]),
    });
    assert.deepEqual(
      (await ask(app, "GET", "/subjects/a/versions/1/schema")).body,
      JSON.parse(avro([id])),
    );
    assert.deepEqual((await ask(app, "GET", "/schemas/ids/1/versions")).body, [
      { subject: "a", version: 1 },
      { subject: "b", version: 1 },
    ]);
    assert.deepEqual(
      (await ask(app, "POST", "/subjects/a", { schema: avro([id]) })).body.version,
      1,
    );
  });

  it("refuses a schema that cannot read every earlier version, unless the level allows it", async () => {
    const app = await open();
    await register(app, "a", avro([id]));
    const refused = await register(app, "a", avro([id, must]));
    assert.equal(refused.status, 409);
    assert.equal(refused.body.error_code, 409);
    await register(app, "a", avro([id, note]));
    // Readable from version 2 alone: transitive levels look at all.
    const renamed = avro([{ name: "note", type: "string" }]);
    assert.equal((await register(app, "a", renamed)).status, 409);
    assert.deepEqual((await ask(app, "PUT", "/config/a", { compatibility: "BACKWARD" })).body, {
      compatibility: "BACKWARD",
    });
    assert.equal((await register(app, "a", renamed)).status, 200);
    await ask(app, "PUT", "/config/a", { compatibility: "NONE" });
    assert.equal((await register(app, "a", JSON.stringify("int"))).status, 200);
  });

  it("checks each level in its own direction", async () => {
    const cases = [
      ["BACKWARD", avro([id, must]), false],
      ["FORWARD", avro([id, must]), true],
      ["FULL", avro([id, must]), false],
      ["BACKWARD", avro([]), true],
      ["FORWARD", avro([]), false],
      ["FULL_TRANSITIVE", avro([id, note]), true],
      ["FORWARD_TRANSITIVE", avro([{ name: "id", type: "int" }]), false],
      ["NONE", avro([{ name: "id", type: "int" }]), true],
    ] as const;
    for (const [level, schema, compatible] of cases) {
      const app = await open();
      await register(app, "s", avro([id]));
      await ask(app, "PUT", "/config", { compatibility: level });
      const url = "/compatibility/subjects/s/versions/latest?verbose=true";
      const { body } = await ask(app, "POST", url, { schema });
      assert.equal(body.is_compatible, compatible, `${level} ${schema}`);
      assert.equal(body.messages.length > 0, !compatible);
    }
  });

  it("answers what it cannot do with Confluent's error codes", async () => {
    const app = await open();
    await register(app, "a", avro([id]));
    const cases = [
      ["GET", "/subjects/none/versions", undefined, 404, 40401],
      ["GET", "/subjects/a/versions/9", undefined, 404, 40402],
      ["GET", "/subjects/a/versions/x", undefined, 422, 42202],
      ["GET", "/schemas/ids/99", undefined, 404, 40403],
      ["POST", "/subjects/a", { schema: avro([note]) }, 404, 40403],
      ["POST", "/subjects/none", { schema: avro([note]) }, 404, 40401],
      ["POST", "/subjects/a/versions", { schema: "{" }, 422, 42201],
      ["POST", "/subjects/a/versions", { schema: '{"type":"record"}' }, 422, 42201],
      ["POST", "/subjects/a/versions", {}, 422, 42201],
      ["POST", "/subjects/a/versions", { schema: "x", schemaType: "JSON" }, 422, 42201],
      ["PUT", "/config", { compatibility: "SOMETIMES" }, 422, 42203],
      ["GET", "/config/a", undefined, 404, 40408],
      ["DELETE", "/subjects/none", undefined, 404, 40401],
      ["DELETE", "/subjects/a?permanent=true", undefined, 404, 40405],
      ["GET", "/nowhere", undefined, 404, 404],
    ] as const;
    for (const [method, url, body, status, code] of cases) {
      const answer = await ask(app, method, url, body);
      assert.deepEqual([answer.status, answer.body.error_code], [status, code], `${method} ${url}`);
    }
    const garbage = await app.inject({
      method: "POST",
      url: "/subjects/a/versions",
      headers: { "content-type": contentType },
      body: "{nope",
    });
    assert.equal(garbage.statusCode, 400);
  });

  it("a deleted version is gone, its id still resolves, and its number is not used again", async () => {
    const app = await open();
    await register(app, "a", avro([id]));
    await register(app, "a", avro([id, note]));
    assert.equal((await ask(app, "DELETE", "/subjects/a/versions/1")).body, 1);
    assert.deepEqual((await ask(app, "GET", "/subjects/a/versions")).body, [2]);
    assert.deepEqual((await ask(app, "DELETE", "/subjects/a")).body, [2]);
    assert.equal((await ask(app, "GET", "/subjects/a/versions")).status, 404);
    assert.deepEqual((await ask(app, "GET", "/subjects")).body, []);
    assert.deepEqual((await ask(app, "GET", "/subjects?deleted=true")).body, ["a"]);
    assert.deepEqual((await ask(app, "GET", "/schemas/ids/2")).body, { schema: avro([id, note]) });
    assert.deepEqual((await register(app, "a", avro([id]))).body, { id: 1 });
    assert.deepEqual((await ask(app, "GET", "/subjects/a/versions")).body, [3]);
    assert.deepEqual((await ask(app, "DELETE", "/subjects/a")).body, [3]);
    assert.deepEqual((await ask(app, "DELETE", "/subjects/a?permanent=true")).body, [1, 2, 3]);
    assert.deepEqual((await ask(app, "GET", "/subjects?deleted=true")).body, []);
  });

  it("goes on from a topic that Confluent's registry wrote", async () => {
    const log = new MemoryLog();
    log.put({ keytype: "NOOP", magic: 0 }, null);
    log.put({ keytype: "MODE", subject: null, magic: 0 }, { mode: "READWRITE" });
    log.put({ keytype: "CONFIG", subject: null, magic: 0 }, { compatibilityLevel: "FORWARD" });
    const key = { keytype: "SCHEMA", subject: "a", version: 1, magic: 1 };
    log.put(key, { subject: "a", version: 1, id: 7, md5: "x", schema: avro([id]), deleted: false });
    log.put({ keytype: "CONTEXT", magic: 0 }, { context: "." });
    const app = await open(log);
    assert.deepEqual((await ask(app, "GET", "/config")).body, { compatibilityLevel: "FORWARD" });
    assert.deepEqual((await register(app, "b", avro([id]))).body, { id: 7 });
    assert.deepEqual((await register(app, "a", avro([id, must]))).body, { id: 8 });
    const last = log.records.at(-1);
    assert.equal(String(last?.key), '{"keytype":"SCHEMA","subject":"a","version":2,"magic":1}');
    assert.deepEqual(JSON.parse(String(last?.value)), {
      subject: "a",
      version: 2,
      id: 8,
      schema: avro([id, must]),
      deleted: false,
    });
  });

  it("registries that write at once agree on every id, also after compaction and a restart", async () => {
    const schemas = Array.from({ length: 5 }, (_, i) => avro([{ ...note, name: `f${i}` }]));
    const wish = fc.record({
      app: fc.nat(2),
      subject: fc.constantFrom("a", "b"),
      schema: fc.constantFrom(...schemas),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { minLength: 1, maxLength: 12 }), async (wishes) => {
        const log = new MemoryLog();
        const apps = await Promise.all([open(log), open(log), open(log)]);
        const answers = await Promise.all(
          wishes.map(async ({ app, subject, schema }) => {
            const found = apps[app];
            assert.ok(found);
            return { subject, schema, ...(await register(found, subject, schema)).body };
          }),
        );
        for (const app of [...apps, await open(log), await open(log.compacted())]) {
          for (const { subject, schema, id: given } of answers) {
            assert.deepEqual((await ask(app, "GET", `/schemas/ids/${given}`)).body, { schema });
            const looked = await ask(app, "POST", `/subjects/${subject}`, { schema });
            assert.equal(looked.body.id, given);
          }
        }
      }),
      { numRuns: 25 },
    );
  });

  it("a record that is no record of a registry changes nothing", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.jsonValue(), (bytes, json) => {
        readFact({ offset: 0, key: Buffer.from(bytes), value: null });
        const key = Buffer.from(JSON.stringify(json) ?? "");
        assert.equal(readFact({ offset: 0, key, value: Buffer.from(bytes) }), undefined);
      }),
    );
  });
});
