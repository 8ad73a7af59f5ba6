import { LightningError } from "../schemas/errors.ts";

/** How far something has been read, and those who wait for it to get further. */
export type Watermark = {
  /** First offset not yet read. */
  readonly at: number;
  advance(to: number): void;
  /**
   * Resolves when everything before `offset` was read. Throws `deadline-passed` at `deadline` (ms
   * since epoch), saying how far it got.
   *
   * @param what is being read, for people.
   */
  reached(offset: number, deadline: number, what: string): Promise<void>;
};

type Waiter = { readonly offset: number; wake(): void };

export function createWatermark(from: number): Watermark {
  let at = from;
  const waiting = new Set<Waiter>();
  return {
    get at() {
      return at;
    },
    advance(to) {
      if (to <= at) return;
      at = to;
      for (const waiter of waiting) if (waiter.offset <= at) waiter.wake();
    },
    async reached(offset, deadline, what) {
      if (offset <= at) return;
      await new Promise<void>((resolve, reject) => {
        const waiter = {
          offset,
          wake() {
            clearTimeout(timer);
            waiting.delete(waiter);
            resolve();
          },
        };
        const timer = setTimeout(
          () => {
            waiting.delete(waiter);
            reject(passed(`${what} was read up to offset ${at}, ${offset} is asked for`));
          },
          Math.max(0, deadline - Date.now()),
        );
        waiting.add(waiter);
      });
    },
  };
}

/** What was asked for was not there in time; the same question may be asked again. */
export function passed(message: string): LightningError {
  return new LightningError("deadline-passed", message);
}
