/** From here on a connection is marked as slow: a quarter of the default bound, `GATEWAY_OUTBOX_EVENTS`. */
export const SLOW_FROM = 64;

export type Pace = "idle" | "behind" | "slow";

/** How a connection keeps up, by the events that wait for it. */
export function pace(pending: number): Pace {
  if (pending >= SLOW_FROM) return "slow";
  return pending > 0 ? "behind" : "idle";
}
