import { LightningError } from "../../../schemas/errors.ts";
import { maxRecordBytes } from "../../../schemas/topics.ts";
import { kafkaSettings, type Values } from "../../config.ts";
import { planTopics, type TopicPlan } from "../../kafka/admin.ts";
import type { KafkaClient } from "../../kafka/client.ts";
import { describeTopics, type TopicFacts } from "../../kafka/inspect.ts";
import {
  advertisedBrokers,
  type ClockDifference,
  guessVersion,
  missingForTransactions,
  probeCluster,
} from "../../kafka/probe.ts";
import { openFence } from "../../kafka/transaction.ts";
import { partitionCounts, readers } from "../../roles.ts";
import { connectKafka, whyAllUnreachable, whyUnreachable } from "../command.ts";
import { type Finding, fail, ok, shortMessage, warn } from "./finding.ts";

const startOrSet = "start `lightning up`, or set KAFKA_BROKERS to a cluster that runs";

/** The brokers, what they can do, their clock, and the topics. */
export async function checkKafka(values: Values): Promise<Finding[]> {
  if (values.KAFKA_BROKERS === "") return [fail("Kafka: KAFKA_BROKERS is not set", startOrSet)];
  const { brokers } = kafkaSettings(values, "lightning-cli");
  const failures = await whyAllUnreachable(brokers);
  if (failures !== null) return [fail(`Kafka: no broker answers (${failures})`, startOrSet)];
  try {
    const client = await connectKafka(values);
    return [
      ...(await checkBrokers(client, values)),
      ...(await checkCluster(client)),
      ...(await checkTopics(client, values)),
    ];
  } catch (error) {
    if (!(error instanceof LightningError)) throw error;
    const why = shortMessage(error.cause ?? error);
    return [fail(`Kafka at ${brokers.join(",")}: ${why}`, loginAdvice(values))];
  }
}

function loginAdvice(values: Values): string {
  return values.KAFKA_SASL_MECHANISM === "none"
    ? "something listens there; if it wants TLS or a login, set KAFKA_SSL and KAFKA_SASL_MECHANISM, _USERNAME, _PASSWORD"
    : "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SSL";
}

async function checkBrokers(client: KafkaClient, values: Values): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { nodeId, host, port } of await advertisedBrokers(client)) {
    const address = `${host}:${port}`;
    const failure = await whyUnreachable(address);
    if (failure === null) continue;
    const advice = "clients are sent there: mend the broker's advertised.listeners or the network";
    findings.push(fail(`Kafka: broker ${nodeId} says it is ${address}: ${failure}`, advice));
  }
  const configured = kafkaSettings(values, "lightning-cli").brokers;
  if (configured.length < 2) return findings;
  const failures = await Promise.all(configured.map(whyUnreachable));
  for (const [i, failure] of failures.entries()) {
    if (failure === null) continue;
    const advice = "the others are used; take it out of KAFKA_BROKERS, or start it";
    findings.push(warn(`Kafka: ${configured[i]}: ${failure}`, advice));
  }
  return findings;
}

async function checkCluster(client: KafkaClient): Promise<Finding[]> {
  const { apis, clock } = await probeCluster(client);
  const where = client.settings.brokers.join(",");
  const missing = missingForTransactions(apis);
  return [
    ok(`Kafka at ${where}, ${guessVersion(apis)}`),
    missing.length > 0
      ? fail(
          `Kafka: no transactions: it does not take ${missing.join(", ")}`,
          "exactly-once needs them: use Apache Kafka 2.7 or newer",
        )
      : await checkTransactions(client),
    judgeClock(clock),
  ];
}

async function checkTransactions(client: KafkaClient): Promise<Finding> {
  const id = "doctor";
  try {
    const fence = await openFence(client, id);
    await fence.close();
    return ok("Kafka: transactions work");
  } catch (error) {
    return fail(
      `Kafka: no producer for transactional id ${client.settings.prefix}${id}: ${shortMessage(error)}`,
      "allow this user to describe and write transactional ids, or see whether the transaction coordinator is up",
    );
  }
}

/** Timers compare the broker's clock with ours; a second off delays them by a second. */
const tolerableMs = 1000;

/** What a difference of clocks means. */
export function judgeClock(clock: ClockDifference | null): Finding {
  if (clock === null) {
    return ok("Kafka: the cluster does not tell its clock (KRaft of Kafka 3.3 and later does)");
  }
  const { ms, within } = clock;
  const said = `${Math.abs(ms)} ms ${ms < 0 ? "behind" : "before"} ours, ± ${within} ms`;
  if (Math.abs(ms) - within <= tolerableMs) return ok(`Kafka: its clock is ${said}`);
  return warn(
    `Kafka: its clock is ${said}`,
    "time-outs and deadlines come early or late by that much: run NTP on both machines",
  );
}

async function checkTopics(client: KafkaClient, values: Values): Promise<Finding[]> {
  const plans = planTopics(partitionCounts(values), readers);
  const found = await describeTopics(
    client,
    plans.map((plan) => plan.name),
  );
  return judgeTopics(plans, found, client.settings.prefix);
}

/** What differs between the topics that should be and those that are, one finding for each kind. */
export function judgeTopics(
  plans: readonly TopicPlan[],
  found: readonly TopicFacts[],
  prefix: string,
): Finding[] {
  const facts = new Map(found.map((topic) => [topic.name, topic]));
  const missing = plans.filter(({ name }) => !facts.has(name)).map(({ name }) => prefix + name);
  const present = plans.flatMap((plan) => {
    const topic = facts.get(plan.name);
    return topic === undefined ? [] : [{ plan, topic, name: prefix + plan.name }];
  });
  const findings = [
    ...judgeMissing(missing, plans.length),
    ...judgePartitions(present),
    ...judgeCleanup(present),
    ...judgeSettings(present),
  ];
  if (findings.length > 0) return findings;
  return [ok(`Kafka: all ${plans.length} topics are there, as configured`)];
}

type Present = { readonly plan: TopicPlan; readonly topic: TopicFacts; readonly name: string };

function judgeMissing(missing: readonly string[], planned: number): Finding[] {
  if (missing.length === 0) return [];
  const what = `Kafka: ${missing.length} of ${planned} topics are missing: ${missing.join(", ")}`;
  return [fail(what, "`lightning topics --create` makes them, and so does any role that starts")];
}

function judgePartitions(present: readonly Present[]): Finding[] {
  const wrong = present.filter(({ plan, topic }) => plan.partitions !== topic.partitions.length);
  if (wrong.length === 0) return [];
  const list = wrong.map(({ plan, topic, name }) => {
    return `${name} has ${topic.partitions.length}, configured are ${plan.partitions}`;
  });
  const advice =
    "set LIGHTNING_PARTITIONS (or LIGHTNING_TRAINER_PARTITIONS) to what is there, or use another LIGHTNING_TOPIC_PREFIX";
  return [fail(`Kafka: topics have other numbers of partitions: ${list.join("; ")}`, advice)];
}

/** The command that changes a topic's setting. */
function set(name: string, config: string): string {
  return `kafka-configs.sh --alter --entity-type topics --entity-name ${name} --add-config ${config}`;
}

function judgeCleanup(present: readonly Present[]): Finding[] {
  const wrong = present.filter(({ plan, topic }) => ![plan.cleanup, ""].includes(topic.cleanup));
  return wrong.map(({ plan, topic, name }) => {
    const lost = plan.cleanup === "compact" ? "state would be deleted" : "records would be dropped";
    const what = `Kafka: topic ${name} has cleanup.policy ${topic.cleanup}, should be ${plan.cleanup}`;
    return fail(what, `${lost}: ${set(name, `cleanup.policy=${plan.cleanup}`)}`);
  });
}

function judgeSettings(present: readonly Present[]): Finding[] {
  const clocked = present.filter((p) => !["LogAppendTime", ""].includes(p.topic.timestampType));
  const small = present.filter(({ topic }) => topic.maxMessageBytes < maxRecordBytes);
  const [late, little] = [clocked[0], small[0]];
  const findings: Finding[] = [];
  if (late !== undefined) {
    const what = `Kafka: topics keep their writers' time: ${namesOf(clocked)}`;
    const change = set(late.name, "message.timestamp.type=LogAppendTime");
    findings.push(warn(what, `a skewed clock would drive timers: for each, ${change}`));
  }
  if (little !== undefined) {
    const what = `Kafka: topics take less than ${maxRecordBytes} bytes a record: ${namesOf(small)}`;
    const change = set(little.name, `max.message.bytes=${maxRecordBytes}`);
    findings.push(warn(what, `large spans would be refused: for each, ${change}`));
  }
  return findings;
}

function namesOf(present: readonly Present[]): string {
  return present.map(({ name }) => name).join(", ");
}
