/**
 * Point questions that many ask at the same time, answered many at a time: those that come while
 * `atOnce` queries are on their way are the next query's, at most `most` of them.
 */
export type Coalesced<K, V> = (key: K) => Promise<V>;

type Waiting<K, V> = {
  readonly key: K;
  resolve(value: V): void;
  reject(error: unknown): void;
};

/**
 * @param group keys of the same group may share a query.
 * @param ask answers keys of one group, in their order.
 */
export function coalesce<K, V>(
  group: (key: K) => string,
  ask: (keys: readonly K[]) => Promise<readonly V[]>,
  { most = 50, atOnce = 2 } = {},
): Coalesced<K, V> {
  /** By group, the one that waits longest first. */
  const waiting = new Map<string, Waiting<K, V>[]>();
  let running = 0;

  function take(): Waiting<K, V>[] {
    const [first] = waiting;
    if (first === undefined) return [];
    const [name, all] = first;
    const taken = all.splice(0, most);
    // The others of the group go behind the other groups.
    waiting.delete(name);
    if (all.length > 0) waiting.set(name, all);
    return taken;
  }

  async function run(): Promise<void> {
    for (let taken = take(); taken.length > 0; taken = take()) {
      try {
        const values = await ask(taken.map(({ key }) => key));
        for (const [i, { resolve }] of taken.entries()) resolve(values[i] as V);
      } catch (error) {
        for (const { reject } of taken) reject(error);
      }
    }
    running -= 1;
  }

  function start(): void {
    if (running >= atOnce) return;
    running += 1;
    // Everyone who asks in this turn of the event loop shares the query.
    setImmediate(run);
  }

  return (key) =>
    new Promise((resolve, reject) => {
      const name = group(key);
      const all = waiting.get(name) ?? [];
      waiting.set(name, all);
      all.push({ key, resolve, reject });
      start();
    });
}
