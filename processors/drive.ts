import { type Codec, createCodec } from "../schemas/codec.ts";
import { bundled, type RecordName, recordNames, type Tagged } from "../schemas/records.ts";
import type { Emitted, Processor } from "./processor.ts";
import { type Change, createTask, type Task } from "./task.ts";

/** A record on its way into a driven processor; the timestamp is the log's, ms since epoch. */
export type Input = Tagged & { readonly key: string; readonly timestamp: number };

export type DriveOptions = {
  /** Input indexes after whose commit the process dies and another takes over from the changelog. */
  readonly crashAfter?: readonly number[];
  /** Input indexes before whose commit the process dies: their step is done twice, seen once. */
  readonly crashBefore?: readonly number[];
  /** Stream time at the end, ms: fires every timer due by then. */
  readonly until?: number;
};

export type Driven = {
  readonly out: readonly Emitted<RecordName>[];
  /** What the compacted changelog holds at the end; empty when every key reached its end. */
  readonly changelog: ReadonlyMap<string, Change>;
};

/**
 * Runs a processor over records of one partition in memory, through the real codec and the real
 * task, one commit per record, with crashes where asked.
 */
export async function drive(
  processor: Processor,
  inputs: readonly Input[],
  options: DriveOptions = {},
): Promise<Driven> {
  const codec = await memoryCodec(processor.name);
  const changelog = new Map<string, Change>();
  const out: Emitted<RecordName>[] = [];
  const roundTrip = <T extends Tagged>(record: T): T => {
    const bytes = codec.encode(processor.name, {
      type: record.type,
      value: record.value,
    } as Tagged);
    return { ...record, ...codec.decode(bytes) };
  };

  const takeOver = (): Task => {
    const task = createTask(processor);
    for (const change of changelog.values()) task.restore(change);
    return task;
  };
  const encode = (emitted: Emitted<RecordName>): Emitted<RecordName> =>
    emitted.type === null ? emitted : roundTrip(emitted);
  const commit = (task: Task, sent: readonly Emitted<RecordName>[]): void => {
    out.push(...sent);
    for (const change of task.takeChanges()) {
      const id = `${change.key}\u0000${change.row}`;
      if (change.value === null) changelog.delete(id);
      else changelog.set(id, { ...change, value: roundTrip(change.value) });
    }
  };

  let task = takeOver();
  let streamTime = 0;
  for (const [offset, input] of inputs.entries()) {
    streamTime = Math.max(streamTime, input.timestamp);
    const work = (): readonly Emitted<RecordName>[] => {
      const at = { partition: 0, offset, timestamp: input.timestamp };
      return [
        ...task.tick(streamTime, at, encode),
        ...task.record({ ...roundTrip(input), at }, encode),
      ];
    };
    if (options.crashBefore?.includes(offset)) {
      work();
      task = takeOver();
    }
    commit(task, work());
    if (options.crashAfter?.includes(offset)) task = takeOver();
  }
  if (options.until !== undefined) {
    commit(task, task.tick(options.until, { partition: 0, offset: inputs.length }, encode));
  }
  return { out, changelog };
}

async function memoryCodec(topic: string): Promise<Codec> {
  const codec = createCodec({
    idOf: async (_subject, schema) =>
      1 + recordNames.findIndex((name) => bundled[name].text === schema),
    schemaOf: async () => "",
  });
  await codec.prepare(topic, recordNames);
  return codec;
}
