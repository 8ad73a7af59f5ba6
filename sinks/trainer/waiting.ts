/** Those who wait for something to change. */
export type Waiting = {
  /** Resolves at the next change, after `ms`, or when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** Wakes everyone. */
  changed(): void;
  /** Wakes everyone, and whoever waits from now on returns at once. */
  close(): void;
  readonly closed: boolean;
};

export function createWaiting(): Waiting {
  const wakers = new Set<() => void>();
  let closed = false;
  const wakeAll = (): void => {
    for (const wake of [...wakers]) wake();
  };
  return {
    wait(ms, signal) {
      if (closed || signal.aborted || ms <= 0) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          wakers.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        const timer = setTimeout(wake, ms);
        wakers.add(wake);
        signal.addEventListener("abort", wake);
      });
    },
    changed: wakeAll,
    close() {
      closed = true;
      wakeAll();
    },
    get closed() {
      return closed;
    },
  };
}
