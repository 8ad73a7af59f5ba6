import { quantile } from "./bench.ts";
import type { Answer, Connection } from "./connection.ts";

/** A kind of query; `path` and `body` of the i-th of them, and what its answer must be. */
export type Kind = {
  readonly name: string;
  readonly path: (i: number) => string;
  /** A GET when there is none. */
  readonly body?: (i: number) => object;
  /** What is wrong with an answer; undefined: nothing. */
  readonly wrong: (answer: unknown) => string | undefined;
};

/** What a kind took, ms, over so many queries. */
export type Asked = { readonly p50: number; readonly p99: number; readonly queries: number };

export type Ids = { readonly live: readonly string[]; readonly past: readonly string[] };

const api = "/v1/agl";
const page = 100;
const pick = (ids: readonly string[], i: number): string => ids[(i * 37) % ids.length] ?? "";

type Page = { readonly items: readonly unknown[]; readonly total: number };

function search(name: string, body: (i: number) => object, items: number, total: number): Kind {
  return {
    name,
    path: () => `${api}/rollouts/search`,
    body,
    wrong(answer) {
      const got = answer as Page;
      if (got.items.length !== items) return `${got.items.length} items instead of ${items}`;
      return got.total === total ? undefined : `a total of ${got.total} instead of ${total}`;
    },
  };
}

const one = (name: string, ids: readonly string[]): Kind => ({
  name,
  path: (i) => `${api}/rollouts/${pick(ids, i)}`,
  wrong: (answer) => (answer === null ? "null" : undefined),
});

/** Every kind of query of one amount of past; those about the past only where there is one. */
export function kindsOf(ids: Ids, pastCount: number): readonly Kind[] {
  const { live, past } = ids;
  const all = pastCount + live.length;
  return [
    one("one live rollout", live),
    ...(past.length === 0 ? [] : [one("one past rollout", past), spansOfOne(past)]),
    ...pages(live.length, pastCount),
    byId(past.length === 0 ? live : past),
    {
      name: "statistics",
      path: () => `${api}/statistics`,
      wrong(answer) {
        const { total_rollouts: total } = answer as { total_rollouts: number };
        return total === all ? undefined : `${total} rollouts`;
      },
    },
    {
      name: "dequeue one",
      path: () => `${api}/queues/rollouts/dequeue`,
      body: () => ({ limit: 1, worker_id: "bench" }),
      wrong: (answer) => ((answer as readonly unknown[]).length === 1 ? undefined : "nothing"),
    },
  ];
}

/** Every tenth of the past failed; of all, the middle lies among the past, too. */
function pages(liveCount: number, pastCount: number): readonly Kind[] {
  const all = liveCount + pastCount;
  const succeeded = pastCount - Math.ceil(pastCount / 10);
  const here = Math.min(page, succeeded);
  const byStart = { limit: page, sort_by: "start_time", sort_order: "desc" };
  const done = { ...byStart, status_in: ["succeeded"] };
  const middle = (count: number): number => Math.floor(count / 2);
  const deep = { ...done, offset: middle(succeeded) };
  return [
    search("100 newest", () => byStart, page, all),
    search("100 newest, succeeded", () => done, here, succeeded),
    search("100 newest, succeeded, from the middle", () => deep, here, succeeded),
    search(
      "100 newest, all, from the middle",
      () => ({ ...byStart, offset: middle(all) }),
      page,
      all,
    ),
  ];
}

function byId(ids: readonly string[]): Kind {
  const some = (i: number) => Array.from({ length: page }, (_, j) => pick(ids, i + j));
  return search(`${page} by id`, (i) => ({ limit: page, rollout_id_in: some(i) }), page, page);
}

function spansOfOne(past: readonly string[]): Kind {
  return {
    name: "spans of a past rollout",
    path: () => `${api}/spans/search`,
    body: (i) => ({ rollout_id: pick(past, i), limit: -1, offset: 0 }),
    wrong: (answer) => ((answer as Page).items.length === 10 ? undefined : "not its ten spans"),
  };
}

/**
 * Asks a number of queries of a kind, one after the other, but no longer than `seconds`.
 *
 * Throws when an answer is not what it must be: a fast wrong answer is none.
 */
export async function askMany(
  connection: Connection,
  kind: Kind,
  { queries, seconds }: { readonly queries: number; readonly seconds: number },
): Promise<Asked> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  for (let i = 0; i < queries && (i === 0 || performance.now() < end); i++) {
    const from = performance.now();
    const answer = await ask(connection, kind, i);
    times.push(performance.now() - from);
    const text = answer.body.toString("utf8");
    const wrong = answer.status >= 300 ? text.slice(0, 300) : kind.wrong(JSON.parse(text));
    if (wrong !== undefined) throw new Error(`${kind.name} answered ${answer.status}: ${wrong}`);
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), queries: times.length };
}

function ask(connection: Connection, { path, body }: Kind, i: number): Promise<Answer> {
  return body === undefined
    ? connection.get(path(i))
    : connection.post(path(i), "application/json", JSON.stringify(body(i)));
}
