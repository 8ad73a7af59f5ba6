import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createCodec } from "../../schemas/codec.ts";
import { bundled, recordNames } from "../../schemas/records.ts";
import { emitReward } from "./emit.ts";
import { emitObject } from "./object.ts";
import { withOperation } from "./operation.ts";
import { spansIn } from "./test-log.ts";

async function codec() {
  const made = createCodec({
    idOf: async (_subject, text) => recordNames.findIndex((name) => bundled[name].text === text),
    schemaOf: async () => "",
  });
  await made.prepare("spans", ["SpanRecorded"]);
  return made;
}

test("every span an agent makes is a record the schema takes and gives back the same", async () => {
  const wire = await codec();
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      async (data, reward) => {
        const spans = await spansIn(() =>
          withOperation({ name: "all", attributes: data }, async (op) => {
            op.setInput([data], data);
            await emitObject(data);
            await emitReward(reward, { attributes: data });
            op.setOutput(data);
          }),
        );
        assert.equal(spans.length, 3);
        for (const value of spans) {
          const back = wire.decode(wire.encode("spans", { type: "SpanRecorded", value }));
          assert.deepEqual(JSON.stringify(back?.value), JSON.stringify(value));
        }
      },
    ),
    { numRuns: 60 },
  );
});
