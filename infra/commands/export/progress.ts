/** A line on a terminal that says how far something is. */
export type Progress = {
  /** @param done how many of the total are done; @param records how many came of them. */
  show(done: number, records: number): void;
  /** Takes the line away. */
  end(): void;
};

const everyMs = 100;
const barWidth = 24;

/** On a terminal a line that is drawn over, at most ten times a second; elsewhere nothing. */
export function createProgress(stream: NodeJS.WriteStream, total: number, begun: number): Progress {
  if (stream.isTTY !== true) return { show() {}, end() {} };
  const startedAt = Date.now();
  let drawnAt = 0;
  return {
    show(done, records) {
      const now = Date.now();
      if (now - drawnAt < everyMs && done < total) return;
      drawnAt = now;
      const seconds = (now - startedAt) / 1000;
      stream.write(`\r\u001b[K${progressLine({ done, total, begun, records, seconds })}`);
    },
    end() {
      if (drawnAt > 0) stream.write("\r\u001b[K");
    },
  };
}

/** `[██████░░░░░░]  50 %  12,345 records  3,210/s  4 s left`; a rate is of this run alone. */
export function progressLine(at: {
  readonly done: number;
  readonly total: number;
  /** How many were done before this run. */
  readonly begun: number;
  readonly records: number;
  readonly seconds: number;
}): string {
  const share = at.total === 0 ? 1 : Math.min(1, at.done / at.total);
  const full = Math.floor(share * barWidth);
  const bar = "█".repeat(full) + "░".repeat(barWidth - full);
  const rate = at.seconds > 0 ? (at.done - at.begun) / at.seconds : 0;
  const left = rate > 0 ? `  ${Math.ceil((at.total - at.done) / rate)} s left` : "";
  const count = (n: number): string => Math.round(n).toLocaleString("en-US");
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `[${bar}] ${percent} %  ${count(at.records)} records  ${count(rate)} transitions/s${left}`;
}
