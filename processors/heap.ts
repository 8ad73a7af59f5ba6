/** Items of which the least comes first. */
export type Heap<T> = {
  readonly head: T | undefined;
  readonly size: number;
  add(item: T): void;
  /** Takes the head away. */
  remove(): void;
};

/** A binary heap; items of which none is before the other come out in any order. */
export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];
  return {
    get head() {
      return items[0];
    },
    get size() {
      return items.length;
    },
    add(item) {
      let i = items.length;
      items.push(item);
      while (i > 0) {
        const parent = (i - 1) >> 1;
        const above = items[parent];
        if (above === undefined || !before(item, above)) break;
        items[i] = above;
        i = parent;
      }
      items[i] = item;
    },
    remove() {
      const last = items.pop();
      if (last === undefined || items.length === 0) return;
      let i = 0;
      for (;;) {
        let least = 2 * i + 1;
        const right = items[least + 1];
        let child = items[least];
        if (child !== undefined && right !== undefined && before(right, child)) {
          child = right;
          least += 1;
        }
        if (child === undefined || !before(child, last)) break;
        items[i] = child;
        i = least;
      }
      items[i] = last;
    },
  };
}
