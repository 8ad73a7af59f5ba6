import { Readable } from "node:stream";
import { LightningError, messageOf } from "../../schemas/errors.ts";
import { type ClickHouseClient, literal, serverCode, unavailable } from "./client.ts";
import { encodeRows, type Row, type TableShape } from "./table.ts";

/**
 * ClickHouse's codes that may be one row's fault: text, numbers and times it cannot read, and
 * strings or arrays beyond its limits. Everything else is the world's.
 */
const rowCodes: ReadonlySet<number> = new Set([
  6, 26, 27, 33, 38, 41, 69, 70, 72, 117, 128, 130, 131, 321, 349, 440, 469,
]);

/**
 * Inserts the rows whole, once per token. Throws `row-refused` with `fields.offset` when one row
 * is at fault, `clickhouse-unavailable` otherwise.
 */
export async function insertRows(
  client: ClickHouseClient,
  table: TableShape,
  rows: readonly Row[],
  token: string,
): Promise<void> {
  try {
    await insert(client, table.name, encodeRows(table, rows), token);
  } catch (error) {
    if (!mayBeARow(error)) throw unavailable(error);
    throw (await findRefused(client, table, rows, error)) ?? unavailable(error);
  }
}

function mayBeARow(error: unknown): boolean {
  const code = serverCode(error);
  return code !== null && rowCodes.has(code);
}

/**
 * The row the server cannot take, by halving; null when no row alone is to blame. The halves go
 * into `null()`, which reads them as the table would and keeps nothing: whatever is written
 * afterwards, with or without the row, is written under the delivery's own token, once.
 */
async function findRefused(
  client: ClickHouseClient,
  table: TableShape,
  rows: readonly Row[],
  cause: unknown,
): Promise<LightningError | null> {
  // A table that drifted from this build refuses every row; no row is to blame for it.
  if ((await refusal(client, table.name, encodeRows(table, []))) !== null) return null;
  const structure = table.columns.map(({ name, sql }) => `${name} ${sql}`).join(", ");
  const probe = (some: readonly Row[]): Promise<unknown> =>
    refusal(client, `FUNCTION null(${literal(structure)})`, encodeRows(table, some));
  let suspects = rows;
  while (suspects.length > 1) {
    const half = suspects.slice(0, suspects.length >> 1);
    suspects = (await probe(half)) === null ? suspects.slice(half.length) : half;
  }
  const [row] = suspects;
  const error = row === undefined ? null : await probe([row]);
  if (row === undefined || error === null) return null;
  return new LightningError("row-refused", `${table.name}: ${messageOf(error)}`, {
    cause,
    offset: row.offset,
    table: table.name,
    serverCode: serverCode(error),
  });
}

/** The error with which rows are refused, or null; throws what is not the rows' fault. */
async function refusal(client: ClickHouseClient, into: string, body: Buffer): Promise<unknown> {
  try {
    await insert(client, into, body, null);
    return null;
  } catch (error) {
    if (mayBeARow(error)) return error;
    throw unavailable(error);
  }
}

async function insert(client: ClickHouseClient, into: string, body: Buffer, token: string | null) {
  const { stream } = await client.exec({
    query: `INSERT INTO ${into} FORMAT RowBinaryWithNamesAndTypes`,
    values: Readable.from([body], { objectMode: false }),
    clickhouse_settings: {
      // Boundaries chosen by the server would make tokens meaningless.
      async_insert: 0,
      wait_end_of_query: 1,
      // One block, applied whole.
      max_insert_block_size: "1048576",
      min_insert_block_size_rows: "1048576",
      min_insert_block_size_bytes: "1073741824",
      // Partitions follow the broker's clock; a clock that jumped must not stop the log.
      throw_on_max_partitions_per_insert_block: 0,
      ...(token === null ? {} : { insert_deduplication_token: token }),
    },
  });
  // The connection is free again when the (empty) answer has been read.
  stream.resume();
  await new Promise<void>((resolve, reject) => {
    stream.once("close", resolve).once("end", resolve).once("error", reject);
  });
}
