import { lex, refuse, type Token } from "./sql-lexer.ts";

export type Guard = {
  /** The database a query may name. */
  readonly database: string;
  /** The server's table functions, as `system.table_functions` lists them. */
  readonly tableFunctions: readonly string[];
};

/**
 * Checks that a text is one statement that only reads our own tables, and returns it without its
 * comments: what was checked is what is sent. Throws `query-refused` saying what and why. The
 * second line of defence is the server's `readonly=1`.
 */
export function guardQuery(sql: string, guard: Guard): string {
  const { tokens, clean } = lex(sql);
  let end = tokens.length;
  while (end > 0 && tokens[end - 1]?.name === ";") end--;
  const statement = tokens.slice(0, end);
  const last = statement.at(-1);
  if (last === undefined) refuse("the query is empty", 0);
  checkVerb(statement);
  const outsiders = new Set(guard.tableFunctions.map((name) => name.toLowerCase()));
  for (let i = 0; i < statement.length; i++) checkToken(statement, i, outsiders, guard.database);
  return clean.slice(0, last.at) + last.raw;
}

const verbs = new Set(["SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"]);
const shown = new Set(["TABLES", "DATABASES", "COLUMNS", "CREATE", "FULL", "FUNCTIONS", "INDEXES"]);
const created = new Set(["TABLE", "VIEW"]);

function checkVerb(statement: readonly Token[]): void {
  const words = statement.filter(({ name }) => name !== "(");
  const [verb, second, third] = words;
  if (verb?.kind !== "word" || !verbs.has(verb.name)) {
    const allowed = "SELECT, WITH, SHOW, DESCRIBE and EXPLAIN";
    refuse(`read ${verb?.raw ?? "("}, allowed are ${allowed}`, verb?.at ?? 0);
  }
  if (verb.name === "SHOW" && !shown.has(second?.name ?? "")) {
    refuse(`SHOW ${second?.raw ?? ""} is not allowed, SHOW ${[...shown].join(", ")} are`, verb.at);
  }
  if (verb.name === "SHOW" && second?.name === "CREATE" && isOther(third)) {
    refuse("SHOW CREATE is allowed for a TABLE or a VIEW", verb.at);
  }
  if (verb.name === "EXPLAIN") checkExplained(words);
  if (verb.name.startsWith("DESC") && ["FILESYSTEM", "CACHE"].includes(second?.name ?? "")) {
    refuse("DESCRIBE is allowed for tables", verb.at);
  }
}

/** SHOW CREATE t is short for a table; the other words name users, roles, quotas and the like. */
function isOther(token: Token | undefined): boolean {
  const kinds =
    /^(DATABASE|USER|USERS|ROLE|ROLES|QUOTA|QUOTAS|PROFILE|PROFILES|SETTINGS|POLICY|POLICIES|ROW|ACCESS|DICTIONARY|NAMED|TEMPORARY|FUNCTION|WORKLOAD|RESOURCE|MASKING)$/;
  return token?.kind === "word" && !created.has(token.name) && kinds.test(token.name);
}

/** What follows EXPLAIN's kind and options must be a SELECT. */
function checkExplained(words: readonly Token[]): void {
  const options = /^(AST|SYNTAX|QUERY|TREE|PLAN|PIPELINE|ESTIMATE)$/;
  let i = 1;
  while (options.test(words[i]?.name ?? "")) i++;
  while (words[i + 1]?.name === "=") i += words[i + 3]?.name === "," ? 4 : 3;
  const verb = words[i];
  if (verb?.name !== "SELECT" && verb?.name !== "WITH") {
    refuse(`EXPLAIN ${verb?.raw ?? ""} is not allowed, EXPLAIN … SELECT is`, verb?.at ?? 0);
  }
}

/** Table functions that make or reshape rows and reach nothing; every other one is refused. */
const harmless = new Set(
  "numbers numbers_mt zeros zeros_mt primes values generateseries generate_series format view null".split(
    " ",
  ),
);

/** Functions that read files, call models, tell of the server, wait, or hide SQL in text. */
const outside =
  /^(file|filesystem.*|ai.*|llm.*|python|eval.*|sleep.*|getsetting.*|getserver.*|getclient.*|getmacro|catboost.*|addressto.*)$/;

/** What of the server's own tables anyone may see: shapes and sizes, no queries and no users. */
const systemTables = new Set([
  "one",
  "numbers",
  "zeros",
  "tables",
  "columns",
  "parts",
  "functions",
]);

function checkToken(
  statement: readonly Token[],
  i: number,
  outsiders: ReadonlySet<string>,
  database: string,
): void {
  const [before, token, after] = [statement[i - 1], statement[i], statement[i + 1]];
  if (token === undefined) return;
  const { kind, name, raw, at } = token;
  if (kind === "sign" && name === ";") refuse("only one statement is allowed", at);
  if (kind === "quoted" && /[/\\:*?]/.test(name)) {
    refuse(`a quoted name may not have / \\ : * or ?, read ${raw}`, at);
  }
  if (kind === "text" && before?.kind === "word" && beforeTable.test(before.name)) {
    refuse(`a string is no table, read ${raw}`, at);
  }
  if (kind !== "word" && kind !== "quoted") return;
  const applied = isApply(before) || (before?.name === "(" && isApply(statement[i - 2]));
  if (after?.name === "(" || applied) checkFunction(token, outsiders);
  if (after?.name === ".") checkDatabase(token, statement[i + 2], database);
  if (kind === "word" && before?.name !== ".") checkWord(token, after);
}

/** `SELECT * APPLY f` calls f with no bracket behind its name. */
function isApply(token: Token | undefined): boolean {
  return token?.kind === "word" && token.name === "APPLY";
}

const beforeTable = /^(FROM|JOIN|TABLE|DESCRIBE|DESC)$/;

function checkFunction({ name, raw, at }: Token, outsiders: ReadonlySet<string>): void {
  const lower = name.toLowerCase();
  if (outside.test(lower) || (outsiders.has(lower) && !harmless.has(lower))) {
    refuse(`the function ${raw} reaches outside the tables`, at);
  }
}

function checkDatabase(token: Token, table: Token | undefined, database: string): void {
  const name = token.name.toLowerCase();
  if (name === database.toLowerCase()) return;
  if (name === "system") {
    if (systemTables.has((table?.name ?? "").toLowerCase())) return;
    refuse(
      `system.${table?.raw ?? ""} is not open, of system ${[...systemTables].join(", ")} are`,
      token.at,
    );
  }
  if (name === "information_schema" || name === "default") {
    refuse(`the database ${token.raw} is not open, ${database} is`, token.at);
  }
}

function checkWord({ name, at }: Token, after: Token | undefined): void {
  if (name === "SETTINGS") refuse("a SETTINGS clause is not allowed", at);
  if (name === "OUTFILE") refuse("INTO OUTFILE is not allowed", at);
  if (name === "PARALLEL" && after?.name === "WITH") refuse("PARALLEL WITH is not allowed", at);
  if (name === "FORMAT" && after?.kind === "word") {
    refuse(`FORMAT ${after.raw}: the format is chosen beside the query, not in it`, at);
  }
}
