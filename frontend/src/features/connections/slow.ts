import type { Connection } from "@/shared/api/types";

/** A reader that something has waited for so long without a break is slow; a busy moment is over sooner. */
export const SLOW_AFTER_MS = 3000;

/** How a connection keeps up; `unknown` when the node that holds it does not answer. */
export type Pace = "idle" | "behind" | "slow" | "unknown";

type Waiting = Pick<Connection, "pending" | "pending_bytes" | "behind_since">;

export function pace({ pending, pending_bytes: bytes, behind_since: since }: Waiting, now: number): Pace {
  if (pending === null || bytes === null) return "unknown";
  if (since !== null && now - Date.parse(since) >= SLOW_AFTER_MS) return "slow";
  return since !== null || pending > 0 || bytes > 0 ? "behind" : "idle";
}
