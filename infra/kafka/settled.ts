import { LightningError } from "../../schemas/errors.ts";

/**
 * What a call of kafkajs gives, or an error after so long: a broker that ends at the wrong moment may
 * leave a promise unsettled, and nobody is to wait for one for ever. What comes after all then goes
 * unheard.
 *
 * @param what is said in the error.
 * @throws LightningError `kafka-unavailable`, or the code asked for, when the time is up.
 */
export async function settled<T>(
  work: Promise<T>,
  withinMs: number,
  what: string,
  code: "kafka-unavailable" | "commit-indefinite" = "kafka-unavailable",
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new LightningError(code, `Kafka: ${what} took more than ${withinMs} ms`));
    }, withinMs);
  });
  try {
    return await Promise.race([work, overdue]);
  } finally {
    clearTimeout(timer);
  }
}

const closeWithinMs = 5000;

/** Waits for a client to close, but not for long: it is not used again either way. */
export async function closedSoon(closing: Promise<unknown>): Promise<void> {
  await settled(closing, closeWithinMs, "closing").catch(() => undefined);
}
