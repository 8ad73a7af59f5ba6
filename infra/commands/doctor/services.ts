import type { Values } from "../../config.ts";
import { type Finding, fail, ok, warn, withoutPassword } from "./finding.ts";
import { type Answer, askJson } from "./http.ts";

/** Levels under which an old reader can meet a new record only after being updated. */
const backward = ["BACKWARD_TRANSITIVE", "FULL_TRANSITIVE"];

/** The schema registry: whether it answers, what it holds, and how strict it is. */
export async function checkRegistry(values: Values): Promise<Finding[]> {
  const url = values.SCHEMA_REGISTRY_URL;
  const start = "start `lightning up`, or set SCHEMA_REGISTRY_URL to a registry that runs";
  if (url === "") return [fail("registry: SCHEMA_REGISTRY_URL is not set", start)];
  const login = { user: values.SCHEMA_REGISTRY_USER, password: values.SCHEMA_REGISTRY_PASSWORD };
  const ask = (path: string): Promise<Answer> => askJson(url, path, login);
  const where = `registry at ${withoutPassword(url)}`;
  const subjects = await ask("/subjects");
  if ("failure" in subjects) return [fail(`${where}: ${subjects.failure}`, start)];
  if (subjects.status === 401 || subjects.status === 403) {
    const advice = "check SCHEMA_REGISTRY_USER and SCHEMA_REGISTRY_PASSWORD";
    return [fail(`${where} answers ${subjects.status}`, advice)];
  }
  if (subjects.status !== 200 || !Array.isArray(subjects.body)) {
    const advice = "SCHEMA_REGISTRY_URL must be the address of a Confluent-compatible registry";
    return [fail(`${where} answers ${subjects.status} to /subjects`, advice)];
  }
  const [version, config] = await Promise.all([ask("/v1/metadata/version"), ask("/config")]);
  return judgeRegistry(
    where,
    subjects.body.length,
    textIn(version, "version"),
    textIn(config, "compatibilityLevel"),
  );
}

/** @param version and level: null where the registry does not say. */
export function judgeRegistry(
  where: string,
  subjects: number,
  version: string | null,
  level: string | null,
): Finding[] {
  const said = `${where}${version === null ? "" : `, version ${version}`}, ${subjects} subjects, compatibility ${level ?? "not told"}`;
  if (level !== null && backward.includes(level)) return [ok(said)];
  const advice =
    'records of today may not be readable tomorrow: PUT /config {"compatibility": "BACKWARD_TRANSITIVE"}';
  return [warn(said, advice)];
}

/** The gateway and the trainer: other roles do without them. */
export async function checkDoors(values: Values): Promise<Finding[]> {
  return Promise.all([
    checkGateway(values.LIGHTNING_URL),
    checkTrainer(values.LIGHTNING_TRAINER_URL),
  ]);
}

async function checkGateway(url: string): Promise<Finding> {
  const start =
    "start `lightning up` or `lightning gateway`, or set LIGHTNING_URL to one that runs";
  if (url === "") return warn("gateway: LIGHTNING_URL is not set", start);
  const where = `gateway at ${withoutPassword(url)}`;
  const ready = await askJson(url, "/ready");
  if ("failure" in ready) return fail(`${where}: ${ready.failure}`, start);
  if (ready.status === 200) return ok(`${where} is ready`);
  const behind = fieldIn(ready, "behind");
  if (ready.status === 503 && behind !== undefined) {
    return warn(`${where} is catching up, ${behind} records behind`, "ask again in some seconds");
  }
  return fail(
    `${where} answers ${ready.status} to /ready`,
    "LIGHTNING_URL must be a gateway's address",
  );
}

async function checkTrainer(url: string): Promise<Finding> {
  const start =
    "start `lightning up` or `lightning trainer`, or set LIGHTNING_TRAINER_URL to one that runs";
  if (url === "") return warn("trainer: LIGHTNING_TRAINER_URL is not set", start);
  const where = `trainer at ${withoutPassword(url)}`;
  const status = await askJson(url, "/v1/status");
  if ("failure" in status) return fail(`${where}: ${status.failure}`, start);
  const partitions = fieldIn(status, "partitions");
  const leases = fieldIn(status, "leases");
  if (status.status !== 200 || !Array.isArray(partitions) || !Array.isArray(leases)) {
    const advice = "LIGHTNING_TRAINER_URL must be a trainer's address";
    return fail(`${where} answers ${status.status} to /v1/status`, advice);
  }
  if (partitions.length === 0) {
    const advice =
      "another instance has them all, or it is still starting: ask again in some seconds";
    return warn(`${where} has no partition`, advice);
  }
  return ok(`${where}: ${partitions.length} partitions, ${leases.length} leases`);
}

function fieldIn(answer: Answer, name: string): unknown {
  if ("failure" in answer || typeof answer.body !== "object" || answer.body === null)
    return undefined;
  return (answer.body as Record<string, unknown>)[name];
}

function textIn(answer: Answer, name: string): string | null {
  const value = fieldIn(answer, name);
  return typeof value === "string" ? value : null;
}
