/**
 * The little of ClickHouse's grammar that a server must know before it runs a statement: where an
 * INSERT's data begins, which format answers, whether there is more than one statement.
 */
export type Statement = {
  /** First keyword, upper case: SELECT, INSERT, …; "" for an empty text. */
  readonly verb: string;
  /** Offset of a second statement, if any. */
  readonly second: number | undefined;
  /** The statement's own FORMAT. */
  readonly format: string | undefined;
  readonly intoOutfile: boolean;
  /** Whether rows can be sent as they come without the planner first running a part of the query. */
  readonly streamable: boolean;
  readonly insert: InsertParts | undefined;
};

/** The parts of an INSERT whose data follows it. */
export type InsertParts = {
  /** End of `INSERT INTO table (columns)`: where FROM INFILE belongs. */
  readonly targetEnd: number;
  /** End of the statement before FORMAT or VALUES. */
  readonly clausesEnd: number;
  readonly format: string;
  /** Offset of the first byte of data. */
  readonly dataStart: number;
  /** `input('structure')` in an INSERT … SELECT: from its name to after its opening bracket. */
  readonly input: { readonly start: number; readonly open: number } | undefined;
};

type Token = {
  readonly text: string;
  readonly upper: string;
  readonly start: number;
  readonly end: number;
  /** Bracket depth it stands at. */
  readonly depth: number;
};

const pattern = new RegExp(
  [
    /(?<skip>\s+|--[^\n]*|#[ !][^\n]*|\/\*[\s\S]*?(?:\*\/|$))/,
    /(?<text>'(?:[^'\\]|\\[\s\S]|'')*'?|"(?:[^"\\]|\\[\s\S]|"")*"?|`(?:[^`\\]|\\[\s\S]|``)*`?)/,
    /(?<heredoc>\$(?<tag>\w*)\$[\s\S]*?(?:\$\k<tag>\$|$))/,
    /(?<word>[\p{L}_$][\p{L}\p{N}_$]*|\p{N}[\w.]*)/u,
    /(?<sign>[\s\S])/,
  ]
    .map((part) => part.source)
    .join("|"),
  "uy",
);

/** Yields tokens lazily: nothing behind the start of an INSERT's data is ever looked at. */
function* tokens(sql: string): Generator<Token, void> {
  let depth = 0;
  pattern.lastIndex = 0;
  for (let at = 0; at < sql.length; ) {
    pattern.lastIndex = at;
    const match = pattern.exec(sql);
    const text = match?.[0] ?? "";
    const end = at + Math.max(1, text.length);
    if (match?.groups?.skip === undefined) {
      if (text === ")" || text === "]") depth--;
      yield { text, upper: text.toUpperCase(), start: at, end, depth };
      if (text === "(" || text === "[") depth++;
    }
    at = end;
  }
}

const streamFormats = new Set(
  "JSONEachRow JSONStringsEachRow JSONCompactEachRow JSONCompactStringsEachRow TSV TabSeparated CSV RowBinary Native TSKV"
    .split(" ")
    .map((name) => name.toUpperCase()),
);

/** Whether a result in this format may be sent chunk by chunk (the engine frames each chunk anew). */
export function isStreamFormat(format: string): boolean {
  return streamFormats.has(format.toUpperCase());
}

/** Reads a statement as far as a server must. */
export function readStatement(sql: string): Statement {
  const first = nextWord(sql);
  return first === "INSERT" ? readInsert(sql) : readOther(sql, first);
}

function nextWord(sql: string): string {
  for (const token of tokens(sql)) if (token.text !== "(" && token.text !== ";") return token.upper;
  return "";
}

function readOther(sql: string, verb: string): Statement {
  let format: string | undefined;
  let intoOutfile = false;
  let second: number | undefined;
  let plain = verb === "SELECT";
  let previous: Token | undefined;
  let ended = false;
  for (const token of tokens(sql)) {
    if (ended && token.text !== ";") second ??= token.start;
    if (token.text === ";" && token.depth === 0) ended = true;
    if (token.depth > 0 && token.upper === "SELECT") plain = false;
    if (token.upper === "LIMIT" || token.upper === "OUTFILE") plain = false;
    if (token.upper === "OUTFILE" && previous?.upper === "INTO") intoOutfile = true;
    const named = previous?.upper === "FORMAT" && previous.depth === 0 && token.depth === 0;
    if (named && /^\w+$/.test(token.text)) format = token.text;
    previous = token;
  }
  return { verb, second, format, intoOutfile, streamable: plain, insert: undefined };
}

/** Reads up to the data; what comes after that is never SQL. */
function readInsert(sql: string): Statement {
  const head: Token[] = [];
  let data = false;
  for (const token of tokens(sql)) {
    head.push(token);
    data = dataBegins(head);
    if (data) break;
  }
  const end = head.findIndex((token) => token.text === ";" && token.depth === 0);
  const rest = end < 0 ? undefined : head.slice(end).find((token) => token.text !== ";");
  const inFile = clauses(head).some((clause) => clause.upper === "FROM") && !selects(head);
  const takesData = !inFile && (data || !selects(head));
  return {
    verb: "INSERT",
    second: rest?.start,
    format: undefined,
    intoOutfile: inFile,
    streamable: false,
    insert: takesData ? insertParts(sql, head, data) : undefined,
  };
}

function insertParts(sql: string, head: readonly Token[], data: boolean): InsertParts {
  const last = head.at(-1);
  const target = clauses(head)[0]?.start;
  const input = findInput(head);
  if (!data || last === undefined) {
    // Neither FORMAT nor VALUES: ClickHouse takes what follows for VALUES.
    const all = sql.length;
    return { targetEnd: target ?? all, clausesEnd: all, format: "Values", dataStart: all, input };
  }
  const values = last.upper === "VALUES" && head.at(-2)?.upper !== "FORMAT";
  const clausesEnd = (values ? last : head.at(-2))?.start ?? last.start;
  return {
    targetEnd: target ?? clausesEnd,
    clausesEnd,
    format: values ? "Values" : last.text,
    dataStart: values ? last.end : skipToData(sql, last.end),
    input,
  };
}

const clauseWords = new Set(["SETTINGS", "FORMAT", "VALUES", "SELECT", "WITH", "FROM", "WATCH"]);

/** Whether the last token is the end of an INSERT's own text: VALUES, or FORMAT and a name. */
function dataBegins(head: readonly Token[]): boolean {
  const [before, last] = [head.at(-2), head.at(-1)];
  if (last?.upper !== "VALUES" && before?.upper !== "FORMAT") return false;
  const found = clauses(head);
  if (selects(head) && findInput(head) === undefined) return false;
  if (before?.upper === "FORMAT") return found.includes(before);
  return last !== undefined && found.includes(last) && !selects(head);
}

/** The clause keywords of an INSERT: outside brackets, and neither its table's name nor part of it. */
function clauses(head: readonly Token[]): readonly Token[] {
  const into = head.findIndex((token) => token.upper === "INTO");
  const next = head[into + 1]?.upper;
  const name = into + (next === "TABLE" || next === "FUNCTION" ? 2 : 1);
  return head.filter(
    (token, i) =>
      i > name && token.depth === 0 && clauseWords.has(token.upper) && head[i - 1]?.text !== ".",
  );
}

function selects(head: readonly Token[]): boolean {
  return clauses(head).some(({ upper }) => upper === "SELECT" || upper === "WITH");
}

function findInput(head: readonly Token[]): InsertParts["input"] {
  const at = head.findIndex(({ upper }, i) => upper === "INPUT" && head[i + 1]?.text === "(");
  const [name, open] = [head[at], head[at + 1]];
  return at < 0 || name === undefined || open === undefined
    ? undefined
    : { start: name.start, open: open.end };
}

/** Data begins after the format's name, spaces, an optional semicolon and one line break. */
function skipToData(sql: string, from: number): number {
  const gap = /[ \t\f]*;?[ \t\f]*(?:\r?\n)?/y;
  gap.lastIndex = from;
  return from + (gap.exec(sql)?.[0].length ?? 0);
}

/** A string literal. */
export function quote(value: string): string {
  return `'${value.replace(/[\\']/g, "\\$&")}'`;
}

/**
 * The INSERT with its data taken from a file instead. The engine's own way, data behind the
 * statement, is no way for a server: it ends the data at the first blank line, runs what follows as
 * SQL, cannot carry binary formats, and is three to six times slower.
 */
export function insertFromFile(sql: string, parts: InsertParts, path: string): string {
  const { targetEnd, clausesEnd, format, input } = parts;
  if (input !== undefined) {
    const structure = sql.slice(input.open, clausesEnd);
    return `${sql.slice(0, input.start)}file(${quote(path)}, ${quote(format)}, ${structure}`;
  }
  const clauses = sql.slice(targetEnd, clausesEnd);
  return `${sql.slice(0, targetEnd)} FROM INFILE ${quote(path)} ${clauses} FORMAT ${format}`;
}
