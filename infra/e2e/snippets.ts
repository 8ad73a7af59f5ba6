import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";

/** A fenced block: its info string is `language`, then `test` when the tests run it. */
export type Snippet = {
  readonly language: string;
  readonly tested: boolean;
  /** `test NAME`: what others call it. */
  readonly name: string | undefined;
  /** `test after NAME`: the block that is run once more before this one. */
  readonly after: string | undefined;
  readonly section: string;
  /** Of its first fence, from 1. */
  readonly line: number;
  readonly text: string;
};

/** The fenced blocks of a Markdown text, in order. */
export function snippetsOf(markdown: string): readonly Snippet[] {
  const snippets: Snippet[] = [];
  let section = "";
  let open: { info: string; line: number; text: string[] } | undefined;
  for (const [i, line] of markdown.split("\n").entries()) {
    if (open === undefined) {
      if (line.startsWith("## ")) section = line.slice(3);
      if (line.startsWith("```")) open = { info: line.slice(3), line: i + 1, text: [] };
    } else if (line === "```") {
      snippets.push(snippetOf(open, section));
      open = undefined;
    } else open.text.push(line);
  }
  return snippets;
}

function snippetOf(
  { info, line, text }: { info: string; line: number; text: readonly string[] },
  section: string,
): Snippet {
  const [language = "", test, first, second] = info.split(" ");
  const after = first === "after" ? second : undefined;
  const name = after === undefined ? first : undefined;
  return { language, tested: test === "test", name, after, section, line, text: text.join("\n") };
}

/** One reader at one terminal: what a block assigns is there in the blocks behind it. */
export type Terminal = {
  /** Runs a block; resolves with what it printed, throws with that when it fails. */
  run(snippet: Snippet): Promise<string>;
  close(): void;
};

const root = fileURLToPath(new URL("../..", import.meta.url));
const withinMs = 60_000;

/**
 * @param environment of the first block.
 * @param rewrite put over each block's text: the ports of the page are not those of the test.
 */
export function openTerminal(
  environment: Readonly<Record<string, string>>,
  rewrite: (text: string) => string,
  python: string,
): Terminal {
  const folder = mkdtempSync(join(tmpdir(), "lightning-readme-"));
  const state = join(folder, "state");
  writeFileSync(state, "");
  // A refused request must end the block, without the page saying so at every curl.
  writeFileSync(join(folder, ".curlrc"), "fail-with-body\n");
  const env = {
    ...environment,
    CURL_HOME: folder,
    PATH: `${dirname(python)}:${environment.PATH ?? ""}`,
  };
  const made: string[] = [];
  const write = (file: string, text: string): string => {
    made.push(file);
    writeFileSync(file, text);
    return file;
  };
  const scripts = scriptsFor({ folder, state, python, write });
  return {
    async run({ language, text, line }) {
      const script = scripts[language]?.(rewrite(text), `${process.pid}-${line}`);
      if (script === undefined) throw new Error(`line ${line}: nobody runs ${language}`);
      return bash(`set -a\n. ${state}\n${script}`, env);
    },
    close() {
      for (const file of [...made, folder]) rmSync(file, { recursive: true, force: true });
    },
  };
}

type Scripts = Readonly<Record<string, (text: string, at: string) => string>>;

/** The shell's part of running a block, by language; `at` makes the names of files unique. */
function scriptsFor({
  folder,
  state,
  python,
  write,
}: {
  readonly folder: string;
  readonly state: string;
  readonly python: string;
  write(file: string, text: string): string;
}): Scripts {
  return {
    bash: (text) => `${text}\nexport -p > ${state}`,
    // In the package, where its own name and its dependencies are found; hidden from the compiler.
    ts: (text, at) =>
      `node --import tsx ${write(join(root, "infra", "e2e", `.readme-${at}.ts`), text)}`,
    python: (text, at) => `${python} ${write(join(folder, `readme-${at}.py`), text)}`,
  };
}

/** Throws with all that was printed when it does not end with 0 in time. Leaves no process behind. */
async function bash(script: string, env: Readonly<Record<string, string>>): Promise<string> {
  // A group of its own, so that what the block put into the background can be ended with it.
  const child = spawn("bash", ["-e", "-o", "pipefail", "-c", script], {
    cwd: root,
    env,
    detached: true,
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      printed += chunk.toString("utf8");
    });
  }
  const timer = setTimeout(() => endGroup(child.pid), withinMs);
  const status = await new Promise((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  clearTimeout(timer);
  endGroup(child.pid);
  await Promise.all([child.stdout, child.stderr].map((stream) => finished(stream)));
  if (status === 0) return printed;
  throw new Error(`ended with ${status}\n${script}\n--- printed:\n${printed}`);
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    // Everybody in it has ended.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
