import type { LightningError } from "../../schemas/errors.ts";

export type Refusal = { readonly count: number; readonly error: LightningError };

/** Who is told which refusals; owners that never ask are forgotten, oldest first. */
export type Refusals = {
  /** `count` of the spans of these owners were refused; which ones is not always known. */
  note(owners: readonly string[], count: number, error: LightningError): void;
  /** The owner's refusals, or everybody's, told once. */
  take(owner: string | undefined): Refusal | undefined;
};

const remembered = 1_000;

export function createRefusals(): Refusals {
  const byOwner = new Map<string, Refusal>();
  return {
    note(owners, count, error) {
      for (const owner of new Set(owners)) {
        const before = byOwner.get(owner)?.count ?? 0;
        byOwner.delete(owner);
        byOwner.set(owner, { count: before + count, error });
      }
      for (const oldest of byOwner.keys()) {
        if (byOwner.size <= remembered) break;
        byOwner.delete(oldest);
      }
    },
    take(owner) {
      const taken = owner === undefined ? [...byOwner.values()] : [byOwner.get(owner)];
      if (owner === undefined) byOwner.clear();
      else byOwner.delete(owner);
      const known = taken.filter((refusal) => refusal !== undefined);
      const last = known.at(-1);
      if (last === undefined) return undefined;
      return { count: Math.max(...known.map(({ count }) => count)), error: last.error };
    },
  };
}
