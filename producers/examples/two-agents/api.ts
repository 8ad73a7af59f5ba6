/** The few HTTP calls of the recipes: settings, resources, SQL of a gateway; leases of a trainer. */

/** A row of a leased batch, as far as prompts are learned from it. */
export type BatchRow = {
  readonly agent: string;
  readonly advantage: number;
  /** An OpenAI message, as JSON text. */
  readonly completion: string;
};

export type Batch = { readonly lease_id: string; readonly rows: readonly BatchRow[] };

export type Trained = { readonly resources_id: string | null; readonly version: number | null };

/** One request with a JSON answer; null for an empty one. Throws what the other side said. */
export async function askJson<T>(method: string, url: string, body?: object): Promise<T | null> {
  const response = await fetch(url, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text}`);
  return text === "" ? null : (JSON.parse(text) as T);
}

/** Rows of a query over everything every project has made; `gateway` is its address without a project. */
export async function rowsOf<T>(gateway: string, query: string): Promise<T[]> {
  const body = JSON.stringify({ query, format: "JSONEachRow" });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${gateway}/api/v1/sql`, { method: "POST", headers, body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${query} answered ${response.status}: ${text}`);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
