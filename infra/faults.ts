/**
 * Named steps at which a test may end the process with SIGKILL, so that every promise about crashes
 * is tried where it is hardest. Nothing happens unless LIGHTNING_FAULT is set.
 */
export const faultPoints = [
  "before-send",
  "sent",
  "changelog-sent",
  "offsets-added",
  "committed",
  "intent-committed",
  "insert-sent",
  "insert-acked",
  "lease-granted",
  "ack-received",
] as const;

export type FaultPoint = (typeof faultPoints)[number];

/** Called at each named step; counts them and dies at the one asked for. */
export type Faults = (point: FaultPoint) => void;

export type FaultSpec = { readonly point: FaultPoint; readonly count: number };

/** @param spec dies at the `count`th time the point is reached; undefined: never. */
export function createFaults(spec: FaultSpec | undefined): Faults {
  if (spec === undefined) return () => undefined;
  let seen = 0;
  return (point) => {
    if (point !== spec.point) return;
    seen += 1;
    if (seen === spec.count) process.kill(process.pid, "SIGKILL");
  };
}
