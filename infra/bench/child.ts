import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { childEnvironment, type VariableName } from "../config.ts";

/** A process that answers questions one at a time. */
export type Child<Q, A> = {
  readonly pid: number;
  ask(question: Q): Promise<A>;
  /** Asks it to end (the channel closes) and waits. */
  end(): Promise<void>;
};

type Answer<A> = { readonly answer: A } | { readonly failed: string };

export type ForkOptions = {
  readonly args?: readonly string[];
  readonly settings?: Partial<Record<VariableName, string>>;
  /** Flags of Node besides our own. */
  readonly nodeFlags?: readonly string[];
};

/** Forks a file of this folder; it runs as we do, through tsx. */
export function forkBench<Q, A>(file: string, options: ForkOptions = {}): Child<Q, A> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [...(options.args ?? [])], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: childEnvironment(options.settings ?? {}),
    execArgv: [...process.execArgv, ...(options.nodeFlags ?? [])],
    // Ctrl-C reaches us alone; the closing channel tells the others, in the right order.
    detached: true,
  });
  const gone = ended(child);
  let last: Promise<unknown> = Promise.resolve();
  return {
    pid: child.pid ?? 0,
    ask(question) {
      const asked = last.then(() => askOne<Q, A>(child, gone, question));
      last = asked.catch(() => undefined);
      return asked;
    },
    async end() {
      if (child.connected) child.disconnect();
      await gone;
    },
  };
}

function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(`ended with ${signal ?? code}`));
  });
}

function askOne<Q, A>(child: ChildProcess, gone: Promise<string>, question: Q): Promise<A> {
  return new Promise((resolve, reject) => {
    gone.then((how) => reject(new Error(`bench process ${child.spawnargs.at(-1)} ${how}`)));
    child.once("message", (message: Answer<A>) => {
      if ("answer" in message) resolve(message.answer);
      else reject(new Error(message.failed));
    });
    child.send(question as object);
  });
}

/** The other side: answers every question of the parent, and ends with it. */
export function answerParent<Q, A>(
  answer: (question: Q) => Promise<A>,
  atEnd: () => Promise<void> = async () => undefined,
): void {
  const send = (message: Answer<A>): void => {
    if (process.connected) process.send?.(message);
  };
  process.on("message", (question: Q) => {
    answer(question).then(
      (value) => send({ answer: value }),
      (error: Error) => send({ failed: error.stack ?? error.message }),
    );
  });
  process.once("disconnect", () => {
    atEnd().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}
