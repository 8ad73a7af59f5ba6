/** Lets `limit` holders in at a time; the others wait in order of arrival, at most `queue` of them. */
export class Semaphore {
  readonly #queue: (() => void)[] = [];
  readonly #most: number;
  #free: number;

  constructor(limit: number, queue: number) {
    this.#free = limit;
    this.#most = queue;
  }

  /** Resolves with the function that lets the next one in, or with undefined when the queue is full. */
  async enter(): Promise<(() => void) | undefined> {
    if (this.#free > 0) this.#free--;
    else if (this.#queue.length >= this.#most) return undefined;
    else await new Promise<void>((go) => this.#queue.push(go));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#queue.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }
}
