import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../schemas/errors.ts";
import { closedSoon, settled } from "./settled.ts";

const never = new Promise<never>(() => undefined);

test("what never settles is an error that says what took so long", async () => {
  await assert.rejects(settled(never, 10, "opening x"), (error: unknown) => {
    assert.equal(codeOf(error), "kafka-unavailable");
    assert.match(String(error), /opening x took more than 10 ms/);
    return true;
  });
  await assert.rejects(settled(never, 10, "x", "commit-indefinite"), (error: unknown) => {
    return codeOf(error) === "commit-indefinite";
  });
});

test("what settles in time is as it is, also as an error", async () => {
  assert.equal(await settled(Promise.resolve(7), 1000, "x"), 7);
  await assert.rejects(settled(Promise.reject(new Error("own")), 1000, "x"), /own/);
  await closedSoon(Promise.reject(new Error("already gone")));
});
