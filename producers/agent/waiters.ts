/** Promises that wait for the same thing. */
export type Waiters = {
  wait(): Promise<void>;
  wakeAll(): void;
};

export function createWaiters(): Waiters {
  let waiting: (() => void)[] = [];
  return {
    wait: () => new Promise((resolve) => waiting.push(resolve)),
    wakeAll() {
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
    },
  };
}

/** A sleep that can be cut short. */
export type Alarm = {
  /** Resolves after `ms`, or when rung. */
  sleep(ms: number): Promise<void>;
  ring(): void;
};

/** An unref'd alarm: waiting for it alone does not keep the process alive. */
export function createAlarm(): Alarm {
  let wake: (() => void) | undefined;
  return {
    sleep: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(done, ms).unref();
        function done(): void {
          clearTimeout(timer);
          wake = undefined;
          resolve();
        }
        wake = done;
      }),
    ring: () => wake?.(),
  };
}
