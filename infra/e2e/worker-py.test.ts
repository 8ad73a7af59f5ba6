import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Served, serveTrainer } from "../../sinks/trainer/asking.ts";
import { pythonWith } from "./python.ts";

const run = promisify(execFile);

let trainer: Served;

before(async () => {
  trainer = await serveTrainer();
});

after(() => trainer.close());

describe("worker.py", () => {
  const script = fileURLToPath(new URL("../../sinks/trainer/worker/worker.py", import.meta.url));

  test("leases, reads the arrays in place and acknowledges, with numpy alone", async (t) => {
    const python = await pythonWith({ numpy: "numpy" });
    if (python === null) return t.skip("python3 is missing");
    const { url, port, add } = trainer;
    add("c");
    const first = run(python, [script, url, "--batches", "2", "--wait", "20"]);
    setTimeout(() => add("d"), 500);
    const lines = (await first).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(lines.length, 2);
    assert.deepEqual(lines[0].shapes.response_ids, [4]);
    assert.deepEqual(lines[0].shapes.response_offsets, [3]);
    assert.deepEqual(lines[0].metrics, { tokens: 4, mean_advantage: 0.5 });
    assert.equal(lines[1].version, lines[0].version + 1);
    const set = port.resources("default", "policy");
    const blob = set?.resources.find(({ name }) => name === "weights")?.blob;
    assert.equal(blob?.length, 64 * 4);
    const step = new DataView(new Uint8Array(blob ?? []).buffer).getFloat32(7 * 4, true);
    assert.ok(step > 0, "the rewarded token became no likelier");
  });

  test("says what the trainer said when it is refused", async (t) => {
    const python = await pythonWith({ numpy: "numpy" });
    if (python === null) return t.skip("python3 is missing");
    const { url } = trainer;
    await assert.rejects(run(python, [script, `${url}/projects/..bad`]), /letters, digits/);
    await assert.rejects(run(python, [script, url, "--wait", "0"]), /no batch within/);
  });
});
