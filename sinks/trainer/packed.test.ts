import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { packFloat32, packInt32 } from "../../schemas/bytes.ts";
import { codeOf } from "../../schemas/errors.ts";
import type { TransitionRecorded } from "../../schemas/types.ts";
import { drivePartition } from "./drive.ts";
import { give, groupClosed, transition } from "./fixtures.ts";
import type { Leased } from "./leases.ts";
import { packBatch, unpackBatch } from "./packed.ts";
import { rowOf } from "./worker/batches.ts";

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const float32 = fc.float({ noNaN: true, noDefaultInfinity: true });
const finite = fc.double({ noNaN: true, noDefaultInfinity: true });

const rows: fc.Arbitrary<readonly Partial<TransitionRecorded>[]> = fc.array(
  fc
    .record({
      prompt: fc.array(int32, { maxLength: 5 }),
      response: fc.array(fc.tuple(int32, float32, fc.nat(1)), { maxLength: 5 }),
      known: fc.boolean(),
      advantage: finite,
      reward: fc.option(finite),
      policy_version: fc.option(fc.integer({ min: 0, max: 2 ** 31 - 1 })),
      agent: fc.string({ unit: "grapheme" }),
    })
    .map(({ prompt, response, known, ...row }) => ({
      ...row,
      prompt_ids: packInt32(prompt),
      response_ids: packInt32(response.map(([id]) => id)),
      logprobs: packFloat32(known ? response.map(([, logprob]) => logprob) : []),
      loss_mask: Buffer.from(known ? response.map(([, , mask]) => mask) : []),
    })),
  { minLength: 1, maxLength: 6 },
);

async function leased(fields: readonly Partial<TransitionRecorded>[]): Promise<Leased> {
  const partition = await drivePartition();
  partition.append(fields.map((row, i) => transition({ ...row, rollout_id: `r${i}` })));
  partition.append([groupClosed({ transitions: fields.length })]);
  partition.feed();
  return give(partition);
}

describe("a packed batch", () => {
  test("gives every number back, aligned, whatever the rows", async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.boolean(), fc.nat(7), async (given, text, shift) => {
        const batch = await leased(given);
        const body = packBatch(batch, 1, text);
        const moved = Buffer.concat([Buffer.alloc(shift), body]).subarray(shift);
        const read = unpackBatch(moved);
        assert.equal(read.header.rows.length, given.length);
        for (const [i, row] of given.entries()) {
          const back = rowOf(read, i);
          const tokens = (row.response_ids?.length ?? 0) / 4;
          assert.deepEqual(packInt32(back.promptIds), row.prompt_ids);
          assert.deepEqual(packInt32(back.responseIds), row.response_ids);
          const isKnown = row.logprobs?.length === tokens * 4;
          if (isKnown) assert.deepEqual(packFloat32(back.logprobs), row.logprobs);
          else assert.ok(back.logprobs.every(Number.isNaN) && back.lossMask.every((m) => m === 1));
          assert.equal(back.advantage, row.advantage);
          assert.equal(back.policyVersion, row.policy_version ?? null);
          assert.equal(read.header.rows[i]?.agent, row.agent);
          assert.equal(read.header.rows[i]?.messages, text ? "[]" : undefined);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("cut short or altered is refused, never misread", async () => {
    const body = packBatch(await leased([{}, {}]), 1, true);
    fc.assert(
      fc.property(fc.nat(body.length - 1), (length) => {
        assert.throws(
          () => unpackBatch(Buffer.from(body.subarray(0, length))),
          (error) => codeOf(error) === "request-invalid",
        );
      }),
    );
  });
});
