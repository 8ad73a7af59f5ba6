import { forkBench } from "./child.ts"; import { startStack } from "./stack.ts"; import { createKafkaClient } from "../kafka/client.ts"; import { createTopics, withAdmin } from "../kafka/admin.ts"; import { kafkaSettings, readConfig } from "../config.ts"; import { createLog } from "../log.ts";
const stack = await startStack(); const brokers = stack.settings.KAFKA_BROKERS ?? "";
const c = createKafkaClient(kafkaSettings(readConfig({ ...stack.settings }), "b"), createLog("warn", "b")); await withAdmin(c, (a) => createTopics(a, [{ topic: "t", numPartitions: 1, replicationFactor: 1 }]));
for (let i = 0; i < 2; i++) for (const client of ["kafkajs, ours", "kafkajs, stock"]) { const ch = forkBench<any, any>("client-main.ts"); const r = await ch.ask({ client, work: "idle", connections: 20, ms: 8000, brokers, topic: "t" }); await ch.end(); process.stdout.write(client + " " + (r.cpuMs / r.ms * 100).toFixed(2) + "\n"); }
await stack.close(); process.exit(0);
