import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import avro from "avsc";
import fc from "fast-check";
import { packFloat32, packInt32, unpackFloat32, unpackInt32 } from "./bytes.ts";
import { type Codec, createCodec, schemaIdOf, subjectOf } from "./codec.ts";
import { LightningError, reactions } from "./errors.ts";
import { goldenFile, incompatibilities, refusal, versionsOf } from "./history.ts";
import { bundled, type RecordName, recordNames, type Tagged } from "./records.ts";
import { isProjectName, keyOf, splitKey } from "./topics.ts";

async function codec(): Promise<Codec> {
  const made = createCodec({
    idOf: async (_subject, schema) => 1 + recordNames.findIndex((n) => bundled[n].text === schema),
    schemaOf: async (id) => {
      throw new LightningError("schema-unknown", `no schema ${id}`);
    },
  });
  await made.prepare("any", recordNames);
  return made;
}

function random(name: RecordName): Tagged {
  return { type: name, value: bundled[name].type.random() } as unknown as Tagged;
}

test("every record survives the wire format", async () => {
  const c = await codec();
  for (const name of recordNames) {
    const record = random(name);
    const bytes = c.encode("any", record);
    assert.equal(bytes[0], 0);
    assert.equal(schemaIdOf(bytes), 1 + recordNames.indexOf(name));
    const back = c.decode(bytes);
    assert.equal(back?.type, name);
    assert.deepEqual(c.encode("any", back as Tagged), bytes);
  }
});

test("a record larger than the scratch buffer is written whole", async () => {
  const c = await codec();
  const record = random("DeadLettered") as Tagged<"DeadLettered">;
  const big = {
    type: record.type,
    value: { ...record.value, value: Buffer.alloc(3_000_000, 7) },
  } as const;
  const back = c.decode(c.encode("any", big)) as Tagged<"DeadLettered">;
  assert.equal(back.value.value?.length, 3_000_000);
});

test("bytes that are no record are refused by code, never by a crash", async () => {
  const c = await codec();
  const good = c.encode("any", random("SpanRecorded"));
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.boolean(), async (at, value, cut) => {
      const bytes = cut ? Buffer.from(good.subarray(0, at)) : Buffer.from(good);
      if (!cut) bytes[at] = value;
      try {
        if (c.decode(bytes) === undefined) await c.learn(bytes);
      } catch (error) {
        assert.ok(error instanceof LightningError, String(error));
        assert.equal(error.reaction, "dead-letter");
      }
    }),
    { numRuns: 3000 },
  );
});

test("a value that does not fit names the field, what was read and what is allowed", async () => {
  const c = await codec();
  const value = { ...random("CancelRequested").value, rollout_id: 5 };
  assert.throws(
    () => c.encode("any", { type: "CancelRequested", value } as unknown as Tagged),
    (error) =>
      error instanceof LightningError &&
      error.code === "record-invalid" &&
      /CancelRequested\.rollout_id: read 5, allowed is "string"/.test(error.message),
  );
});

test("a record written by an older build is read by this one", async () => {
  const older = JSON.parse(bundled.GroupTrained.text);
  older.fields = older.fields.filter((f: { name: string }) => f.name !== "batch_id");
  const writer = avro.Type.forSchema(older, { wrapUnions: false });
  const c = createCodec({ idOf: async () => 1, schemaOf: async () => JSON.stringify(older) });
  const body = writer.toBuffer({ done: true, deliveries: 2, offset: 9 });
  const bytes = Buffer.concat([Buffer.from([0, 0, 0, 0, 77]), body]);
  assert.equal(c.decode(bytes), undefined);
  await c.learn(bytes);
  assert.deepEqual(
    { ...c.decode(bytes)?.value },
    { done: true, deliveries: 2, batch_id: null, offset: 9 },
  );
});

test("longs are exact up to 2^53 − 2, beyond which they are refused", async () => {
  const c = await codec();
  const most = 2 ** 53 - 2;
  const edge = fc.constantFrom(
    0,
    63,
    64,
    -64,
    -65,
    2 ** 28,
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 52,
    -(2 ** 52) - 1,
  );
  const long = fc.oneof(fc.integer({ min: -most, max: most }), edge, fc.constantFrom(most, -most));
  fc.assert(
    fc.property(long, (wake_at) => {
      const back = c.decode(c.encode("any", { type: "TimerSet", value: { wake_at } }));
      assert.deepEqual({ ...back?.value }, { wake_at });
    }),
    { numRuns: 1000 },
  );
});

test("golden records of every committed version decode for ever", () => {
  for (const name of recordNames) {
    for (const [i, version] of versionsOf(name).entries()) {
      const writer = avro.Type.forSchema(JSON.parse(version), { wrapUnions: false });
      const resolver = bundled[name].type.createResolver(writer);
      const bytes = readFileSync(goldenFile(name, i + 1));
      const decoded = bundled[name].type.decode(bytes, 0, resolver);
      assert.equal(decoded.offset, bytes.length, `${name} version ${i + 1}`);
    }
    assert.ok(versionsOf(name).length > 0, `${name} has a history`);
  }
});

test("every committed schema is compatible with its history", () => {
  assert.deepEqual(
    recordNames.map(refusal).filter((r) => r !== null),
    [],
  );
});

test("an incompatible change is refused", () => {
  const changed = JSON.parse(bundled.BatchTrained.text);
  changed.fields.push({ name: "new_and_required", type: "string" });
  assert.equal(incompatibilities(JSON.stringify(changed), [bundled.BatchTrained.text]).length, 1);
  changed.fields.at(-1).default = "";
  assert.deepEqual(incompatibilities(JSON.stringify(changed), [bundled.BatchTrained.text]), []);
});

test("packed numbers come back from any alignment", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
      fc.nat(7),
      (ids, shift) => {
        const shifted = Buffer.concat([Buffer.alloc(shift), packInt32(ids)]).subarray(shift);
        assert.deepEqual([...unpackInt32(shifted)], ids);
      },
    ),
  );
  assert.deepEqual([...unpackFloat32(packFloat32([-0.5, 1.25]))], [-0.5, 1.25]);
  assert.throws(() => unpackInt32(Buffer.alloc(5)), RangeError);
  assert.throws(() => packInt32([2 ** 31]), RangeError);
});

test("keys keep project and id apart, whatever the id", () => {
  fc.assert(
    fc.property(fc.string(), (id) => {
      assert.deepEqual(splitKey(keyOf("p", id)), { project: "p", id });
    }),
  );
  assert.ok(isProjectName("my-project_1.0"));
  for (const bad of ["", "a/b", "ä", "-a", "x".repeat(65)]) assert.ok(!isProjectName(bad), bad);
});

test("subjects follow TopicRecordNameStrategy", () => {
  assert.equal(subjectOf("spans", "SpanRecorded"), "spans-lightning.SpanRecorded");
});

test("every error code has one reaction and a status", () => {
  for (const [code, { reaction, status }] of Object.entries(reactions)) {
    assert.ok(reaction.length > 0 && status >= 400, code);
  }
});
