/** Where the library says what people should know; the facts are in `fields`. */
export type Log = (
  level: "info" | "warn" | "error",
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void;

/** Warnings of the process, on stderr unless somebody listens: a library has no logger of its own. */
export const warnLog: Log = (level, message, fields) => {
  if (level === "info") return;
  process.emitWarning(message, { type: "LightningWarning", detail: JSON.stringify(fields) });
};

export type Periodic = {
  /** Adds to the count; says so at once when it was quiet for an interval, else at its end. */
  note(count: number, fields: Readonly<Record<string, unknown>>): void;
  /** Says now what has not been said. */
  flush(): void;
};

/** Counts what happens often and logs it once per interval, with the number, never silently. */
export function createPeriodic(
  log: Log,
  level: "warn" | "error",
  message: string,
  everyMs: number,
): Periodic {
  let unsaid = 0;
  let facts: Readonly<Record<string, unknown>> = {};
  let timer: NodeJS.Timeout | undefined;
  const say = (): void => {
    if (unsaid === 0) return;
    log(level, message, { count: unsaid, ...facts });
    unsaid = 0;
  };
  const elapsed = (): void => {
    timer = undefined;
    if (unsaid > 0) timer = setTimeout(elapsed, everyMs).unref();
    say();
  };
  return {
    note(count, fields) {
      unsaid += count;
      facts = fields;
      if (timer !== undefined) return;
      say();
      timer = setTimeout(elapsed, everyMs).unref();
    },
    flush() {
      clearTimeout(timer);
      timer = undefined;
      say();
    },
  };
}
