import { setTimeout as sleep } from "node:timers/promises";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { incompatibilities, parseSchema } from "./registry-compatibility.ts";
import {
  type CompatibilityLevel,
  type Fact,
  type SchemasLog,
  type SchemaVersion,
  writeFact,
} from "./registry-records.ts";
import { canonical, RegistryState } from "./registry-state.ts";

/** An error as Confluent's REST API words it: its status is the code's first three digits. */
export function registryError(errorCode: number, message: string, cause?: unknown): LightningError {
  const status = Number(String(errorCode).slice(0, 3));
  const code =
    status === 404
      ? "not-found"
      : status === 409
        ? "conflict"
        : status < 500
          ? "request-invalid"
          : "registry-unavailable";
  return new LightningError(code, message, { cause, errorCode });
}

export type RegistryStore = {
  readonly state: RegistryState;
  /** Gives a schema its version and id, the ones it has if it is known. */
  register(subject: string, schema: string): Promise<SchemaVersion>;
  /** Why a schema may not be added to a subject, or not follow just one version of it. */
  check(subject: string, schema: string, version?: SchemaVersion): string[];
  configure(subject: string | null, level: CompatibilityLevel | undefined): Promise<void>;
  deleteVersion(version: SchemaVersion, permanently: boolean): Promise<void>;
  deleteSubject(subject: string, permanently: boolean): Promise<number[]>;
  close(): Promise<void>;
};

const readBackTimeoutMs = 10_000;

/** Opens the registry on its topic and returns when it knows everything in it. */
export async function openStore(log: SchemasLog): Promise<RegistryStore> {
  const state = new RegistryState();
  const tail = await log.tail((record) => state.apply(record));

  /** Appends a fact and waits until it has been read back: only then is it known who came first. */
  async function write(fact: Fact): Promise<void> {
    const { key, value } = writeFact(fact);
    const stop = new AbortController();
    try {
      const offset = await log.append(key, value);
      const late = sleep(readBackTimeoutMs, "late", { signal: stop.signal }).catch(() => "stopped");
      if ((await Promise.race([tail.caughtUpTo(offset), late])) === "late") {
        throw new Error(`record ${offset} was not read back within ${readBackTimeoutMs} ms`);
      }
    } catch (cause) {
      throw registryError(50001, `Error in the backend datastore: ${messageOf(cause)}`, cause);
    } finally {
      stop.abort();
    }
  }

  // One change at a time: the next one sees the last one's record.
  let queue: Promise<unknown> = Promise.resolve();
  function inTurn<R>(change: () => Promise<R>): Promise<R> {
    const turn = queue.then(change);
    queue = turn.catch(() => {});
    return turn;
  }

  return {
    state,
    register: (subject, schema) => inTurn(() => register(state, write, subject, schema)),
    check: (subject, schema, version) => check(state, subject, schema, version),
    configure: (subject, level) => inTurn(() => write({ kind: "config", subject, level })),
    deleteVersion: (version, permanently) => inTurn(() => write(deletion(version, permanently))),
    deleteSubject: (subject, permanently) =>
      inTurn(() => deleteSubject(state, write, subject, permanently)),
    close: () => tail.close(),
  };
}

type Write = (fact: Fact) => Promise<void>;

async function register(
  state: RegistryState,
  write: Write,
  subject: string,
  schema: string,
): Promise<SchemaVersion> {
  for (;;) {
    const known = state.find(subject, schema, false);
    if (known !== undefined) return known;
    const reasons = check(state, subject, schema);
    if (reasons.length > 0) {
      throw registryError(
        409,
        `Schema being registered is incompatible with an earlier schema for subject "${subject}", details: ${reasons.join("; ")}`,
      );
    }
    const version = (state.versions(subject, true).at(-1)?.version ?? 0) + 1;
    const id = state.idFor(schema);
    await write({ kind: "schema", schema: { subject, version, id, schema, deleted: false } });
    const winner = state.versions(subject, true).find((v) => v.version === version);
    // Another registry came first, perhaps with the same schema under another id. Compaction keeps the
    // last record of a key, so the one that holds is written again before we try anew.
    const holds = winner?.id === id && canonical(winner.schema) === canonical(schema);
    if (winner !== undefined && !holds) {
      await write({ kind: "schema", schema: winner });
    }
  }
}

function check(
  state: RegistryState,
  subject: string,
  schema: string,
  version?: SchemaVersion,
): string[] {
  try {
    parseSchema(schema);
  } catch (cause) {
    throw registryError(42201, `Invalid schema: ${messageOf(cause)}`, cause);
  }
  const earlier = version === undefined ? state.versions(subject, false) : [version];
  return incompatibilities(
    state.levelOf(subject),
    schema,
    earlier.map((v) => v.schema),
  );
}

function deletion(version: SchemaVersion, permanently: boolean): Fact {
  return permanently
    ? { kind: "schema-removed", subject: version.subject, version: version.version }
    : { kind: "schema", schema: { ...version, deleted: true } };
}

async function deleteSubject(
  state: RegistryState,
  write: Write,
  subject: string,
  permanently: boolean,
): Promise<number[]> {
  const gone = state.versions(subject, permanently);
  if (permanently) {
    for (const { version } of gone) await write({ kind: "schema-removed", subject, version });
  } else {
    await write({ kind: "subject-deleted", subject, upTo: gone.at(-1)?.version ?? 0 });
  }
  if (state.ownLevel(subject) !== undefined) {
    await write({ kind: "config", subject, level: undefined });
  }
  return gone.map((v) => v.version);
}
