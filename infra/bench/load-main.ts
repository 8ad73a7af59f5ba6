/** The load generator's process. */
import { answerParent } from "./child.ts";
import type { Job, Loaded } from "./load.ts";
import { writeBacklog } from "./load-backlog.ts";
import { runLive, sendSpans } from "./load-http.ts";

async function work(job: Job): Promise<Omit<Loaded, "cpuMs">> {
  switch (job.job) {
    case "ingest":
      return sendSpans(job);
    case "live":
      return runLive(job);
    case "backlog":
      return writeBacklog(job);
  }
}

answerParent<Job, Loaded>(async (job) => {
  const before = process.cpuUsage();
  const loaded = await work(job);
  const used = process.cpuUsage(before);
  return { ...loaded, cpuMs: (used.user + used.system) / 1000 };
});
