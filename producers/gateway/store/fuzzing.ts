/** Requests for the fuzz tests of the store API, near to what the contract takes and far from it. */
import fc from "fast-check";

export type FuzzRequest = {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Body as it is sent; null for none. */
  readonly body: string | null;
};

const odd = fc.constantFrom<unknown>(
  null,
  true,
  "",
  "latest",
  "\u0000",
  "\ud800",
  "é".repeat(400),
  -0,
  -1,
  1.5,
  1e308,
  2 ** 63,
  [],
  {},
  [[null]],
  { __proto__: 1, constructor: 2 },
);
const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), odd);
/** Mostly what is asked for, now and then something else. */
const mostly = <T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 6, arbitrary: good as fc.Arbitrary<unknown> },
    { weight: 1, arbitrary: anything },
  );

const text = mostly(fc.string({ maxLength: 20 }));
const number = mostly(fc.double({ noNaN: true }));
const whole = mostly(fc.integer({ min: -3, max: 300 }));
const object = mostly(fc.dictionary(fc.string({ maxLength: 5 }), anything, { maxKeys: 3 }));
const status = mostly(
  fc.constantFrom("queuing", "preparing", "running", "failed", "succeeded", "timeout", "cancelled"),
);
const mode = mostly(fc.constantFrom("train", "val", "test", null));
const nullable = (one: fc.Arbitrary<unknown>) => fc.option(one);

function record(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  return fc.record({ ...fields, extra: anything }, { requiredKeys: [] });
}

const config = mostly(
  record({
    timeout_seconds: nullable(number),
    unresponsive_seconds: nullable(number),
    max_attempts: whole,
    retry_condition: mostly(fc.array(status, { maxLength: 3 })),
  }),
);
const context = record({
  trace_id: text,
  span_id: text,
  is_remote: mostly(fc.boolean()),
  trace_state: object,
});
const attributes = mostly(
  fc.dictionary(
    fc.string({ maxLength: 8 }),
    fc.oneof(text, number, whole, mostly(fc.array(fc.oneof(text, number), { maxLength: 4 }))),
    { maxKeys: 5 },
  ),
);

/** Bodies by what takes them; ids are those of a rollout that there is, or not. */
function bodies(ids: { readonly rollout: string; readonly attempt: string }) {
  const rollout_id = mostly(fc.constantFrom(ids.rollout, ids.rollout, "ro-none"));
  const attempt_id = mostly(fc.constantFrom(ids.attempt, ids.attempt, "latest", "at-none"));
  const task = { input: anything, mode, resources_id: nullable(text), config, metadata: object };
  const paging = {
    limit: whole,
    offset: whole,
    sort_by: mostly(fc.constantFrom("status", "sequence_id", "rollout_id", "config", "start_time")),
    sort_order: mostly(fc.constantFrom("asc", "desc")),
    filter_logic: mostly(fc.constantFrom("and", "or")),
  };
  const resource = record({
    resource_type: mostly(fc.constantFrom("llm", "proxy_llm", "prompt_template")),
    endpoint: text,
    model: text,
    api_key: nullable(text),
    sampling_parameters: object,
    template: text,
    engine: mostly(fc.constantFrom("jinja", "f-string", "poml")),
  });
  const span = fc.record({
    rollout_id,
    attempt_id,
    sequence_id: whole,
    trace_id: text,
    span_id: text,
    parent_id: nullable(text),
    name: text,
    status: mostly(record({ status_code: mostly(fc.constantFrom("OK", "ERROR", "UNSET")) })),
    attributes,
    events: mostly(
      fc.array(record({ name: text, attributes, timestamp: number }), { maxLength: 2 }),
    ),
    links: mostly(fc.array(record({ context, attributes }), { maxLength: 2 })),
    start_time: nullable(number),
    end_time: nullable(number),
    context: nullable(context),
    parent: nullable(context),
    resource: mostly(record({ attributes, schema_url: text })),
  });
  return {
    task: record({ ...task, worker_id: nullable(text) }),
    tasks: record({ rollouts: mostly(fc.array(record(task), { maxLength: 3 })) }),
    claim: record({ limit: whole, worker_id: nullable(text) }),
    rollout: record({ ...task, status }),
    attempt: record({ status, worker_id: text, last_heartbeat_time: number, metadata: object }),
    search: record({
      ...paging,
      rollout_id,
      attempt_id,
      status_in: nullable(mostly(fc.array(status))),
    }),
    worker: record({ heartbeat_stats: object }),
    resources: mostly(fc.dictionary(fc.string({ maxLength: 5 }), resource, { maxKeys: 2 })),
    span,
    next: record({ rollout_id, attempt_id }),
    wait: fc.record({
      rollout_ids: mostly(fc.array(rollout_id)),
      timeout: fc.constantFrom(0, 0.01, -1),
    }),
  };
}

/** Any request of the store API, whose wait is never long. */
export function storeRequests(ids: {
  readonly rollout: string;
  readonly attempt: string;
}): fc.Arbitrary<FuzzRequest> {
  const all = bodies(ids);
  const id = fc
    .oneof(fc.constantFrom(ids.rollout, "latest", "search"), fc.string({ maxLength: 10 }))
    .map(encodeURIComponent);
  const posts = fc.oneof(
    ...[
      fc.tuple(fc.constant("/queues/rollouts/enqueue"), all.tasks),
      fc.tuple(fc.constant("/queues/rollouts/dequeue"), all.claim),
      fc.tuple(fc.constant("/rollouts"), all.task),
      fc.tuple(fc.constantFrom("/rollouts/search", "/workers/search", "/spans/search"), all.search),
      fc.tuple(
        id.map((one) => `/rollouts/${one}`),
        all.rollout,
      ),
      fc.tuple(
        id.map((one) => `/rollouts/${one}/attempts`),
        all.claim,
      ),
      fc.tuple(
        id.map((one) => `/rollouts/${one}/attempts/search`),
        all.search,
      ),
      fc.tuple(
        id.map((one) => `/rollouts/${one}/attempts/latest`),
        all.attempt,
      ),
      fc.tuple(
        id.map((one) => `/workers/${one}`),
        all.worker,
      ),
      fc.tuple(fc.constant("/resources"), all.resources),
      fc.tuple(
        id.map((one) => `/resources/${one}`),
        all.resources,
      ),
      fc.tuple(fc.constant("/spans"), all.span),
      fc.tuple(fc.constant("/spans/next"), all.next),
      fc.tuple(fc.constant("/waits/rollouts"), all.wait),
    ].map((one) => one.map(([path, body]) => ({ path, body: JSON.stringify(body) }))),
  );
  const gets = fc.tuple(
    fc.oneof(
      fc.constantFrom("/health", "/statistics", "/rollouts", "/workers", "/resources", "/spans"),
      id.map((one) => `/rollouts/${one}`),
      id.map((one) => `/rollouts/${one}/attempts`),
      id.map((one) => `/workers/${one}`),
      id.map((one) => `/resources/${one}`),
    ),
    fc.array(
      fc.tuple(
        fc.constantFrom(
          "limit",
          "offset",
          "sort_by",
          "status_in",
          "rollout_id",
          "filter_logic",
          "x",
        ),
        fc.oneof(
          fc.constantFrom("1", "-1", "and", "running", "status"),
          fc.string({ maxLength: 8 }),
        ),
      ),
      { maxLength: 4 },
    ),
  );
  return fc.oneof(
    { weight: 4, arbitrary: posts.map((one) => ({ method: "POST" as const, ...one })) },
    {
      weight: 1,
      arbitrary: gets.map(([path, query]) => ({
        method: "GET" as const,
        path: `${path}?${query.map((pair) => pair.map(encodeURIComponent).join("=")).join("&")}`,
        body: null,
      })),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        method: fc.constant("POST" as const),
        path: fc.constantFrom("/rollouts", "/spans", "/queues/rollouts/enqueue", "/workers/w"),
        body: fc.oneof(fc.string(), fc.constantFrom("NaN", "[", "null", '{"input":NaN}', "\u0000")),
      }),
    },
  );
}
