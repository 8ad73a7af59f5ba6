/**
 * Opens a fence, sends a record in a transaction and says so; then waits to be killed. Run by
 * fence.test.ts: `open-transaction.ts <brokers> <transactional id> <topic>`.
 */
import { createKafkaClient } from "../kafka/client.ts";
import { openFence } from "../kafka/transaction.ts";
import { createLog } from "../log.ts";
import { transactionTimeoutMs } from "./broker.ts";

const [brokers = "", transactionalId = "", topic = ""] = process.argv.slice(2);
const client = createKafkaClient(
  {
    brokers: [brokers],
    clientId: "open-transaction",
    prefix: "",
    compression: "none",
    sessionTimeoutMs: 3000,
    transactionTimeoutMs,
  },
  createLog("error", "e2e"),
);
const fence = await openFence(client, transactionalId);
const transaction = await fence.begin();
await transaction.send([{ topic, key: "k", value: Buffer.from("never committed") }]);
process.send?.("open");
setInterval(() => undefined, 60_000);
