import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, type Connection, openConnection } from "./connection.ts";
import { clock, type IngestJob, type LiveJob, type Loaded } from "./load.ts";
import { filled, groupOf, ingestBody, rolloutIdOf, type Template, templates } from "./workload.ts";

type Generated = Omit<Loaded, "cpuMs">;

const protobuf = "application/x-protobuf";
const json = "application/json";
/** Different enough that a batch does not compress to one of them. */
const templateCount = 64;
const spansPerIngest = 100;

export async function sendSpans(job: IngestJob): Promise<Generated> {
  const bodies = Array.from({ length: 16 }, (_, seed) => ingestBody(seed));
  const connections = await openAll(job.gateway, job.connections);
  let sent = 0;
  let bytes = 0;
  const from = clock();
  await Promise.all(
    connections.map(async (connection) => {
      while (sent < job.requests) {
        const body = bodies[sent++ % bodies.length] ?? Buffer.alloc(0);
        bytes += body.length;
        expectOk(await connection.post("/v1/traces", protobuf, body), "/v1/traces");
      }
    }),
  );
  const to = clock();
  for (const connection of connections) connection.close();
  return { spans: sent * spansPerIngest, calls: 0, from, to, ended: [], bytes };
}

type Claimed = { readonly rollout_id: string; readonly attempt: { readonly attempt_id: string } };

/** What the runners of a live job share. */
type Live = {
  readonly job: LiveJob;
  readonly templates: ReadonlyMap<string, Template>;
  readonly ended: [string, number][];
  bytes: number;
};

export async function runLive(job: LiveJob): Promise<Generated> {
  const kinds = templates(job.shape, templateCount);
  const byId = new Map<string, Template>();
  for (let i = 0; i < job.rollouts; i++) {
    const kind = kinds[i % kinds.length];
    if (kind !== undefined) byId.set(rolloutIdOf(job.run, i), kind);
  }
  const live: Live = { job, templates: byId, ended: [], bytes: 0 };
  const [enqueuer, ...runners] = await openAll(job.gateway, job.runners + 1);
  if (enqueuer === undefined) throw new Error("no connection");
  const from = clock();
  await Promise.all([enqueue(enqueuer, job), ...runners.map((runner) => run(runner, live))]);
  for (const connection of [enqueuer, ...runners]) connection.close();
  const calls = [...byId.values()].reduce((sum, kind) => sum + kind.calls, 0);
  const to = Math.max(...live.ended.map(([, at]) => at));
  const spans = job.rollouts * job.shape.spans;
  return { spans, calls, from, to, ended: live.ended, bytes: live.bytes };
}

/** Enqueues all at once in requests of 100, or at the asked rate in steps of 20 ms or more. */
async function enqueue(connection: Connection, job: LiveJob): Promise<void> {
  const { rate } = job;
  const size = rate === null ? 100 : Math.max(1, Math.round(rate / 50));
  const from = clock();
  for (let at = 0; at < job.rollouts; at += size) {
    if (rate !== null) await sleep(Math.max(0, from + (at / rate) * 1000 - clock()));
    const tasks = Array.from({ length: Math.min(size, job.rollouts - at) }, (_, i) => ({
      input: { task: "Find a room for 4 people at 10:00 with a whiteboard", index: at + i },
      rollout_id: rolloutIdOf(job.run, at + i),
      mode: "train",
      ...groupOf(job, at + i),
    }));
    expectOk(
      await connection.post("/api/v1/rollouts", json, JSON.stringify(tasks)),
      "/api/v1/rollouts",
    );
  }
}

async function run(connection: Connection, live: Live): Promise<void> {
  const { job } = live;
  const claim = JSON.stringify({ worker_id: "bench", limit: job.perRequest });
  while (live.ended.length < job.rollouts) {
    const answer = await connection.post("/api/v1/rollouts/claim", json, claim);
    expectOk(answer, "/api/v1/rollouts/claim");
    const claimed = JSON.parse(answer.body.toString("utf8")) as readonly Claimed[];
    if (claimed.length === 0) await sleep(20);
    else await work(connection, live, claimed);
  }
}

async function work(connection: Connection, live: Live, claimed: readonly Claimed[]) {
  const parts = claimed.flatMap((rollout) => {
    const kind = live.templates.get(rollout.rollout_id);
    if (kind === undefined) return [];
    const ids = { rolloutId: rollout.rollout_id, attemptId: rollout.attempt.attempt_id };
    return [[kind, ids] as const];
  });
  const body = filled(parts);
  live.bytes += body.length;
  expectOk(await connection.post("/v1/traces", protobuf, body), "/v1/traces");
  for (const [, { rolloutId, attemptId }] of parts) {
    const path = `/api/v1/rollouts/${rolloutId}/attempts/${attemptId}/end`;
    expectOk(await connection.post(path, json, '{"status":"succeeded"}'), path);
    live.ended.push([rolloutId, clock()]);
  }
}

function openAll(url: string, count: number): Promise<Connection[]> {
  return Promise.all(Array.from({ length: count }, () => openConnection(url)));
}

function expectOk({ status, body }: Answer, path: string): void {
  if (status < 300) return;
  throw new Error(`${path} answered ${status}: ${body.toString("utf8").slice(0, 300)}`);
}
