import { type Codec, createCodec } from "../../schemas/codec.ts";
import { bundled, recordNames, type Tagged } from "../../schemas/records.ts";
import { changelogOf, keyOf } from "../../schemas/topics.ts";
import type { ResourcesUpdated } from "../../schemas/types.ts";
import type { Delivered } from "../sink.ts";
import { record } from "./groups.ts";
import {
  createLedger,
  defaultLedgerSettings,
  type Effect,
  type Ledger,
  type LedgerRow,
  type LedgerSettings,
  restore,
  type TrainerRecord,
  take,
} from "./ledger.ts";
import type { TrainerPort } from "./port.ts";

/** One partition of `transitions` in memory, with the trainer's changelog and committed offset. */
export type DrivenPartition = {
  readonly ledger: Ledger;
  readonly log: readonly Delivered[];
  readonly changelog: ReadonlyMap<string, LedgerRow["value"]>;
  readonly committed: number;
  /** Everything committed to `batches` and `resources`, in order. */
  readonly out: readonly TrainerRecord[];
  /** Appends to the log; {@link feed} brings it to the ledger. */
  append(records: readonly Tagged[], timestamp?: number): void;
  /** Feeds up to `count` of the records the ledger has not seen. */
  feed(count?: number): void;
  /** Commits an effect of the current ledger. */
  store(effect: Effect): void;
  /** Loses everything that was not committed; what is left is read again by {@link feed}. */
  crash(): void;
};

/** A partition through the real codec; every record written must fit its schema. */
export async function drivePartition(
  partition = 0,
  settings: LedgerSettings = defaultLedgerSettings,
): Promise<DrivenPartition> {
  const codec = await memoryCodec();
  const roundTrip = <T extends Tagged>(one: T): T => ({
    ...one,
    ...codec.decode(codec.encode(topic, { type: one.type, value: one.value } as Tagged)),
  });
  const log: Delivered[] = [];
  const changelog = new Map<string, LedgerRow["value"]>();
  const out: TrainerRecord[] = [];
  let committed = 0;
  let ledger = createLedger(partition, 0, settings);
  return {
    get ledger() {
      return ledger;
    },
    get committed() {
      return committed;
    },
    log,
    changelog,
    out,
    append(records, timestamp = 0) {
      for (const one of records) {
        const value = one.value as { project: string; group_id: string };
        const key = keyOf(value.project, value.group_id);
        log.push({ record: roundTrip(one), key, offset: log.length, timestamp });
      }
    },
    feed(count = log.length) {
      const from = ledger.position;
      for (const delivered of log.slice(from, from + count)) record(ledger, delivered);
    },
    store(effect) {
      for (const { key, value } of effect.rows) {
        if (value === null) changelog.delete(key);
        else changelog.set(key, roundTrip(value));
      }
      out.push(...effect.records.map(roundTrip));
      committed = effect.lowWatermark;
    },
    crash() {
      ledger = createLedger(partition, committed, settings);
      for (const [key, value] of changelog) restore(ledger, { key, value });
    },
  };
}

export type DrivenTrainer = TrainerPort & {
  readonly driven: readonly DrivenPartition[];
  /** Feeds everything appended, commits it and calls the listeners back. */
  run(): void;
};

/** A trainer's runtime in memory; `beforeCommit` is where a test makes commits slow or fail. */
export async function driveTrainer(
  options: {
    readonly partitions?: number;
    readonly settings?: LedgerSettings;
    readonly beforeCommit?: () => Promise<void>;
  } = {},
): Promise<DrivenTrainer> {
  const driven: DrivenPartition[] = [];
  for (let i = 0; i < (options.partitions ?? 1); i++) {
    driven.push(await drivePartition(i, options.settings));
  }
  const listeners = new Set<() => void>();
  const versions = new Map<string, ResourcesUpdated>();
  const tails = new Map<Ledger, Promise<void>>();
  const note = (one: TrainerRecord): void => {
    if (one.type === "ResourcesUpdated") versions.set(one.key, one.value);
  };

  async function commit(ledger: Ledger, effect: Effect): Promise<void> {
    effect.records.forEach(note);
    const before = tails.get(ledger) ?? Promise.resolve();
    const work = before.then(async () => {
      await options.beforeCommit?.();
      driven.find((one) => one.ledger === ledger)?.store(effect);
    });
    tails.set(ledger, work);
    work.catch(() => driven.find((one) => one.ledger === ledger)?.crash());
    return work;
  }

  return {
    driven,
    partitions: () => driven.map(({ ledger }) => ledger),
    commit,
    resources: (project, resourcesId) => versions.get(keyOf(project, resourcesId)),
    policy(project) {
      const [newest] = [...versions.values()]
        .filter((one) => one.project === project)
        .sort((a, b) => b.updated_at - a.updated_at);
      return newest ? { resourcesId: newest.resources_id, version: newest.version } : null;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    run() {
      for (const one of driven) {
        one.feed();
        one.store(take(one.ledger));
      }
      for (const listener of listeners) listener();
    },
  };
}

const topic = changelogOf("trainer");

async function memoryCodec(): Promise<Codec> {
  const codec = createCodec({
    idOf: async (_subject, schema) =>
      1 + recordNames.findIndex((name) => bundled[name].text === schema),
    schemaOf: async () => "",
  });
  await codec.prepare(topic, recordNames);
  return codec;
}
