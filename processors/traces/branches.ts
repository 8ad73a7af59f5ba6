import { remembered } from "./remembered.ts";

/** Segments of a name that are told apart; what is behind stays one name. */
const maxDepth = 32;

/** Branches that are walked along; writers seldom take anything apart into more of them. */
const mostWalked = 8;

/** What stands below one segment of dotted names: a value, or branches, which win over it. */
export type Branch = {
  readonly name: string;
  value: unknown;
  /** Its branches are linked in the order in which they were met. */
  size: number;
  first: Branch | null;
  last: Branch | null;
  next: Branch | null;
  /** Made where there are too many to walk along. */
  byName: Map<string, Branch> | null;
};

export function branchOf(name: string): Branch {
  return { name, value: undefined, size: 0, first: null, last: null, next: null, byName: null };
}

/** Puts a value below the root, where its name says; the first `from` segments lead to the root. */
export function graft(root: Branch, name: string, from: number, value: unknown): void {
  if (value === undefined) return;
  const segments = segmentsOf(name);
  const end = Math.min(segments.length, from + maxDepth) - 1;
  let branch = root;
  for (let i = from; i < end; i++) branch = below(branch, segments[i] ?? "");
  const rest = end + 1 < segments.length ? segments.slice(end).join(".") : segments[end];
  below(branch, rest ?? "").value = value;
}

/** What grew on a branch: indexes 0 to n−1 make a list, other names an object in the order of names. */
export function grown(branch: Branch): unknown {
  if (branch.size === 0) return branch.value;
  if (isList(branch)) return listOf(branch);
  const branches = inOrder(branch);
  const fields: Record<string, unknown> = {};
  for (const each of branches) {
    // Set as any other, this one would become the prototype.
    if (each.name === "__proto__") return Object.fromEntries(branches.map(entryOf));
    fields[each.name] = grown(each);
  }
  return fields;
}

function entryOf(branch: Branch): readonly [string, unknown] {
  return [branch.name, grown(branch)];
}

function isList(parent: Branch): boolean {
  for (let i = 0; i < parent.size; i++) {
    if (branchAt(parent, String(i)) === undefined) return false;
  }
  return true;
}

function listOf(parent: Branch): unknown[] {
  const list = new Array<unknown>(parent.size);
  for (let branch = parent.first; branch !== null; branch = branch.next) {
    list[Number(branch.name)] = grown(branch);
  }
  return list;
}

function inOrder(parent: Branch): Branch[] {
  const sorted: Branch[] = [];
  const few = parent.size <= mostWalked;
  for (let branch = parent.first; branch !== null; branch = branch.next) {
    if (few) insert(sorted, branch);
    else sorted.push(branch);
  }
  return few ? sorted : sorted.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A few are in order sooner than a sort has begun. */
function insert(sorted: Branch[], branch: Branch): void {
  let at = sorted.length;
  for (; at > 0; at--) {
    const before = sorted[at - 1];
    if (before === undefined || before.name < branch.name) break;
    sorted[at] = before;
  }
  sorted[at] = branch;
}

/** The branch of this name, which is made when there is none. */
function below(parent: Branch, name: string): Branch {
  const { last } = parent;
  // What belongs together was written together.
  if (last?.name === name) return last;
  const met = branchAt(parent, name);
  if (met !== undefined) return met;
  const branch = branchOf(name);
  if (last === null) parent.first = branch;
  else last.next = branch;
  parent.last = branch;
  parent.size++;
  parent.byName?.set(name, branch);
  return branch;
}

function branchAt(parent: Branch, name: string): Branch | undefined {
  if (parent.size > mostWalked) {
    parent.byName ??= branchesByName(parent);
    return parent.byName.get(name);
  }
  let branch = parent.first;
  while (branch !== null && branch.name !== name) branch = branch.next;
  return branch ?? undefined;
}

function branchesByName({ first }: Branch): Map<string, Branch> {
  const byName = new Map<string, Branch>();
  for (let branch = first; branch !== null; branch = branch.next) byName.set(branch.name, branch);
  return byName;
}

/** The segments of a dotted name. */
export const segmentsOf = remembered((name): readonly string[] => name.split("."));
