import type { Appender, WrittenRun } from "./kafka/append.ts";
import type { Watermark } from "./watermark.ts";

/** A fold of a partition that takes what its own process appends at the acknowledgement. */
export type OwnRecords = {
  /** How long the broker may gather, ms, before it sends what mostly is known already. */
  lingerMs(): number;
  close(): void;
};

/**
 * While what this process writes is all that comes, how long the broker may gather before it sends
 * the same again, ms; others' records are seen that much later.
 */
const lingerMs = 20;

/** How long after a record of somebody else's nothing is left to linger, ms. */
const strangerMs = 1000;

/**
 * What this process appended itself is folded when the broker acknowledges it, provided that it
 * stands exactly where the fold is: then nobody else's record is in between, and who waits for the
 * answer is spared a second round trip. Everything else comes from the broker, in the log's order.
 *
 * @param fold takes the run whole, or answers false and leaves it to the broker.
 */
export function followOwnRecords(
  { topic, partition }: { readonly topic: string; readonly partition: number },
  appender: Pick<Appender, "listen"> | undefined,
  position: Watermark,
  fold: (run: WrittenRun) => boolean,
  onError: (error: Error) => void,
): OwnRecords {
  let tookAt = 0;
  let missedAt = 0;
  const deafen = appender?.listen(topic, (run) => {
    if (run.partition !== partition || run.offset < position.at) return;
    try {
      if (run.offset === position.at && fold(run)) {
        tookAt = Date.now();
        position.advance(run.offset + run.records.length);
      } else missedAt = Date.now();
    } catch (error) {
      onError(error as Error);
    }
  });
  return {
    lingerMs() {
      const now = Date.now();
      return now - tookAt < strangerMs && now - missedAt > strangerMs ? lingerMs : 0;
    },
    close: () => deafen?.(),
  };
}
