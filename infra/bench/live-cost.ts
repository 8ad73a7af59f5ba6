import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { bundled } from "../../schemas/records.ts";
import type { RolloutChanged } from "../../schemas/types.ts";
import { createRolloutTable } from "../gateway/rollout-table.ts";

/**
 * Heap that one rollout takes in the table of a gateway, bytes, besides the text of its input: the
 * difference of what lives after a collection.
 *
 * @param example whose copies are put in, each under an id of its own and decoded as from the log.
 */
export function liveCost(example: RolloutChanged, count = 10_000): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { type } = bundled.RolloutChanged;
  const table = createRolloutTable(() => null);
  const heap = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = heap();
  for (let i = 0; i < count; i++) {
    const rollout_id = `${example.rollout_id.slice(0, 9)}${String(i).padStart(6, "0")}`;
    const bytes = type.toBuffer({ ...example, rollout_id, enqueued_at: example.enqueued_at + i });
    table.set(`default/${rollout_id}`, "default", type.fromBuffer(bytes) as RolloutChanged);
  }
  table.list("default");
  const cost = (heap() - before) / count;
  if (table.get("default/") !== undefined) throw new Error("the table must live until here");
  return cost - Buffer.byteLength(example.input);
}
