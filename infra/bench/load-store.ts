import { quantile } from "./bench.ts";
import { type Answer, type Connection, openConnection } from "./connection.ts";
import { clock } from "./load.ts";
import { filled, type Ids, smallShape, spanTexts, type Template, template } from "./workload.ts";

/** The same HTTP work for any server of the store's API, ours or the reference's. */
export type StoreJob = {
  /** Root of the API; its path goes before every route. */
  readonly url: string;
  readonly rollouts: number;
  /** Connections that dequeue, send spans, end and query, one thing at a time each. */
  readonly clients: number;
  /** Ten spans in one OTLP request, or in ten of POST /v1/agl/spans. */
  readonly spans: "otlp" | "json";
};

export const callKinds = ["enqueue", "dequeue", "spans", "end", "query"] as const;
export type CallKind = (typeof callKinds)[number];

/** p50 and p99 of what a call took, ms. */
export type CallTimes = { readonly p50: number; readonly p99: number };

export type StoreLoaded = {
  /** From the first dequeue to the last query's answer, s. */
  readonly seconds: number;
  readonly times: Readonly<Record<CallKind, CallTimes>>;
  /** What this generator used itself, ms. */
  readonly cpuMs: number;
};

const json = "application/json";
const chunk = 64;
const templateCount = 64;
/** One rollout's spans with room for its ids, in both forms. */
export type SpanBodies = { otlp(ids: Ids): Buffer; readonly json: readonly string[] };

export function spanBodies(seed: number): SpanBodies {
  const trace_id = seed.toString(16).padStart(32, "1");
  const texts = spanTexts(smallShape, seed).map(({ name, attributes }, i) => {
    const span = {
      sequence_id: i + 1,
      trace_id,
      span_id: (seed * 16 + i).toString(16).padStart(16, "1"),
      parent_id: null,
      name,
      status: { status_code: "UNSET", description: null },
      attributes,
      events: [],
      links: [],
      start_time: 1_760_000_000 + i / 1000,
      end_time: 1_760_000_000.5 + i / 1000,
      context: null,
      parent: null,
      resource: { attributes: { "service.name": "bench" }, schema_url: "" },
    };
    return JSON.stringify(span, (_, value) => (typeof value === "bigint" ? Number(value) : value));
  });
  // The servers' attempt ids differ in length, which Protobuf wants to know beforehand.
  const templates = new Map<number, Template>();
  return {
    otlp(ids) {
      const digits = ids.attemptId.length - "at-".length;
      const known = templates.get(digits) ?? template(smallShape, seed, digits);
      templates.set(digits, known);
      return filled([[known, ids]]);
    },
    json: texts,
  };
}

/** The JSON of a span under the ids of its rollout. */
export function jsonSpan(text: string, { rolloutId, attemptId }: Ids): string {
  return `{"rollout_id":"${rolloutId}","attempt_id":"${attemptId}",${text.slice(1)}`;
}

/** Asks, checks the answer and remembers how long it took. */
type Clocked = {
  readonly times: Readonly<Record<CallKind, number[]>>;
  post(
    kind: CallKind,
    connection: Connection,
    path: string,
    body: Buffer | string,
    type?: string,
  ): Promise<Answer>;
};

function clockedAt(url: string): Clocked {
  const base = new URL(url).pathname.replace(/\/$/, "");
  const times = { enqueue: [], dequeue: [], spans: [], end: [], query: [] } as Clocked["times"];
  return {
    times,
    async post(kind, connection, path, body, type = json) {
      const from = performance.now();
      const answer = await connection.post(base + path, type, body);
      times[kind].push(performance.now() - from);
      if (answer.status < 300) return answer;
      const text = answer.body.toString("utf8").slice(0, 300);
      throw new Error(`${path} answered ${answer.status}: ${text}`);
    },
  };
}

export async function runStore(job: StoreJob): Promise<Omit<StoreLoaded, "cpuMs">> {
  const bodies = Array.from({ length: templateCount }, (_, seed) => spanBodies(seed));
  const clocked = clockedAt(job.url);
  await enqueue(job, clocked);
  // Only now: a server may close what is idle for five seconds.
  const connections = await openAll(job.url, job.clients);
  const from = clock();
  const work = connections.map((connection, i) => runClient(job, clocked, connection, bodies, i));
  const done = (await Promise.all(work)).reduce((sum, count) => sum + count, 0);
  const seconds = (clock() - from) / 1000;
  for (const connection of connections) connection.close();
  if (done !== job.rollouts) throw new Error(`${done} rollouts were given out of ${job.rollouts}`);
  return { seconds, times: quantiles(clocked.times) };
}

async function enqueue({ url, rollouts }: StoreJob, clocked: Clocked): Promise<void> {
  const connection = await openConnection(url);
  for (let at = 0; at < rollouts; at += chunk) {
    const wanted = Array.from({ length: Math.min(chunk, rollouts - at) }, (_, i) => ({
      input: { task: "Find a room for 4 people at 10:00 with a whiteboard", index: at + i },
      mode: "train",
    }));
    const body = JSON.stringify({ rollouts: wanted });
    await clocked.post("enqueue", connection, "/v1/agl/queues/rollouts/enqueue", body);
  }
  connection.close();
}

type Taken = { readonly rollout_id: string; readonly attempt: { readonly attempt_id: string } };

/** Works until the queue is empty; returns how many rollouts it had. */
async function runClient(
  job: StoreJob,
  clocked: Clocked,
  connection: Connection,
  bodies: readonly SpanBodies[],
  index: number,
): Promise<number> {
  const dequeue = JSON.stringify({ limit: 1, worker_id: `bench-${index}` });
  for (let done = 0; ; done++) {
    const path = "/v1/agl/queues/rollouts/dequeue";
    const answer = await clocked.post("dequeue", connection, path, dequeue);
    const [taken] = JSON.parse(answer.body.toString("utf8")) as readonly Taken[];
    if (taken === undefined) return done;
    const spans = bodies[(index * 7 + done) % bodies.length];
    if (spans !== undefined) await workOn(job, clocked, connection, taken, spans);
  }
}

async function workOn(
  job: StoreJob,
  clocked: Clocked,
  connection: Connection,
  { rollout_id: rolloutId, attempt: { attempt_id: attemptId } }: Taken,
  bodies: SpanBodies,
): Promise<void> {
  const ids = { rolloutId, attemptId };
  if (job.spans === "otlp") {
    const body = bodies.otlp(ids);
    await clocked.post("spans", connection, "/v1/traces", body, "application/x-protobuf");
  } else {
    for (const text of bodies.json) {
      await clocked.post("spans", connection, "/v1/agl/spans", jsonSpan(text, ids));
    }
  }
  const attempt = `/v1/agl/rollouts/${rolloutId}/attempts/${attemptId}`;
  await clocked.post("end", connection, attempt, '{"status":"succeeded"}');
  const query = `{"rollout_id":"${rolloutId}","limit":-1,"offset":0}`;
  const { body } = await clocked.post("query", connection, "/v1/agl/spans/search", query);
  const total = /"total": ?(\d+)}$/.exec(body.subarray(-24).toString("latin1"))?.[1];
  if (Number(total) !== smallShape.spans) throw new Error(`${rolloutId} has ${total} spans`);
}

function openAll(url: string, count: number): Promise<Connection[]> {
  return Promise.all(Array.from({ length: count }, () => openConnection(url)));
}

function quantiles(times: Readonly<Record<CallKind, readonly number[]>>) {
  const of = (kind: CallKind): CallTimes => ({
    p50: quantile(times[kind], 0.5),
    p99: quantile(times[kind], 0.99),
  });
  return {
    enqueue: of("enqueue"),
    dequeue: of("dequeue"),
    spans: of("spans"),
    end: of("end"),
    query: of("query"),
  };
}
