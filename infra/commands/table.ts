/** A cell: a number stands right, everything else left. */
export type Cell = string | number | null;

export type TableOptions = {
  /** Columns a cell may take; longer ones end in an ellipsis. */
  readonly maxWidth?: number;
};

/** Rows under their headings, aligned, with two spaces between columns. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  { maxWidth = Number.POSITIVE_INFINITY }: TableOptions = {},
): string {
  const texts = rows.map((row) =>
    headings.map((_, i) => shorten(printable(textOf(row[i] ?? null)), maxWidth)),
  );
  const right = headings.map(
    (_, i) => rows.length > 0 && rows.every((row) => isNumber(row[i] ?? null)),
  );
  const widths = headings.map((heading, i) =>
    texts.reduce((most, row) => Math.max(most, widthOf(row[i] ?? "")), widthOf(heading)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => {
        const gap = " ".repeat(Math.max(0, (widths[i] ?? 0) - widthOf(cell)));
        return right[i] === true ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "─".repeat(width));
  return [line(headings), line(rule), ...texts.map(line)].join("\n");
}

function textOf(cell: Cell): string {
  return cell === null ? "" : typeof cell === "number" ? cell.toLocaleString("en-US") : cell;
}

function isNumber(cell: Cell): boolean {
  return cell === null || typeof cell === "number" || /^(-?\d[\d.]*(e[+-]?\d+)?|NULL)$/.test(cell);
}

/** Text without what could steer a terminal: records and rows come from anywhere. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (c) => {
    const code = c.codePointAt(0) ?? 0;
    return code < 256
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** {@link printable} for text of several lines. */
export function printableLines(text: string): string {
  return text
    .split("\n")
    .map((line) => line.split("\t").map(printable).join("\t"))
    .join("\n");
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;

function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += wide.test(character) ? 2 : 1;
  return width;
}

function shorten(text: string, maxWidth: number): string {
  if (widthOf(text) <= maxWidth) return text;
  let kept = "";
  let width = 1;
  for (const character of text) {
    width += wide.test(character) ? 2 : 1;
    if (width > maxWidth) break;
    kept += character;
  }
  return `${kept}…`;
}
