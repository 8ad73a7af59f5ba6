/** The process that generates the load of the store's bench. */
import { answerParent } from "./child.ts";
import { runStore, type StoreJob, type StoreLoaded } from "./load-store.ts";

answerParent<StoreJob, StoreLoaded>(async (job) => {
  const before = process.cpuUsage();
  const loaded = await runStore(job);
  const { user, system } = process.cpuUsage(before);
  return { ...loaded, cpuMs: (user + system) / 1000 };
});
