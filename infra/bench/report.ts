import type { Table } from "./bench.ts";

/** A section of RESULTS.md: what one bench found, when and where. */
export type Section = {
  readonly name: string;
  /** Machine, date, commit, command: one line each. */
  readonly facts: readonly string[];
  readonly tables: readonly Table[];
};

const title = "# Results";
const preamble =
  "What `npm run bench` measured; `npm run bench -- <name…> [--quick]` replaces the sections of that name. " +
  "Values are `median [least–most]` of the runs. Compare rows of one section: they ran on the same machine in the same minutes.";

export function markdownOf({ name, facts, tables }: Section): string {
  return [
    `## ${name}`,
    facts.map((fact) => `- ${fact}`).join("\n"),
    ...tables.map((table) => tableText(table)),
  ].join("\n\n");
}

function tableText({ title: caption, head, rows, notes }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const ruler = `|${head.map((_, i) => (i === 0 ? "---" : "---:")).join("|")}|`;
  const lines = [line(head), ruler, ...rows.map(line)].join("\n");
  return [`### ${caption}`, lines, ...notes].join("\n\n");
}

/** The file with the new sections in place of those of the same name, the others as they were. */
export function replaceSections(
  file: string,
  sections: readonly Section[],
  order: readonly string[],
) {
  const texts = new Map<string, string>();
  for (const part of file.split(/^(?=## )/m).slice(1)) {
    const name = /^## (.*)$/m.exec(part)?.[1];
    if (name !== undefined) texts.set(name, part.trim());
  }
  for (const section of sections) texts.set(section.name, markdownOf(section));
  const names = [...order.filter((name) => texts.has(name))];
  return `${[title, preamble, ...names.map((name) => texts.get(name))].join("\n\n")}\n`;
}
