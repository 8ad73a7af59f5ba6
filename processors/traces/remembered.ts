/** Answers kept of one function, and the longest name one is kept for: some MB at the very most. */
const mostKept = 10_000;
const longestKept = 200;

/**
 * A function of names of attributes or spans that keeps its answers: writers use the same few names
 * in millions of spans. What it answers must follow from the name alone.
 */
export function remembered<T>(answer: (name: string) => T, most = mostKept): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const found = answer(name);
    if (name.length <= longestKept) {
      if (known.size >= most) known.clear();
      known.set(name, found);
    }
    return found;
  };
}
