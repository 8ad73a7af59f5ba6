import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

type Profile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

export type SelfTime = { readonly where: string; readonly ms: number };

const idle: ReadonlySet<string> = new Set(["(idle)", "(program)"]);

/** Self time by function, most first, without the time the process slept. */
export function selfTimes({ nodes, samples, timeDeltas }: Profile): SelfTime[] {
  const where = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      { name: functionName, text: `${functionName || "(anonymous)"} ${place(url, lineNumber)}` },
    ]),
  );
  const times = new Map<string, number>();
  for (const [i, sample] of samples.entries()) {
    const at = where.get(sample);
    if (at === undefined || idle.has(at.name)) continue;
    times.set(at.text, (times.get(at.text) ?? 0) + (timeDeltas[i] ?? 0) / 1000);
  }
  return [...times].map(([text, ms]) => ({ where: text, ms })).sort((a, b) => b.ms - a.ms);
}

function place(url: string, line: number): string {
  const path = url.replace(/^file:\/\//, "").replace(/^.*\/work\/main\//, "");
  return path === "" ? "" : `${path}:${line + 1}`;
}

/** The top of every `.cpuprofile` in a folder, as lines with the share of the time it was busy. */
export function describeProfiles(folder: string, top = 25): string {
  const parts = readdirSync(folder)
    .filter((file) => file.endsWith(".cpuprofile"))
    .map((file) => {
      const profile = JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile;
      const times = selfTimes(profile);
      const all = times.reduce((sum, { ms }) => sum + ms, 0);
      const lines = times
        .slice(0, top)
        .map(({ where, ms }) => `${((ms / all) * 100).toFixed(1).padStart(5)} %  ${where}`);
      return [`${file}: busy ${Math.round(all)} ms`, ...lines].join("\n");
    });
  return parts.join("\n\n");
}
