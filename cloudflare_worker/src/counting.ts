/** What an isolate counts, and its way to the directory: in sums, about once a second. */

import { NAME } from "./directory";
import type { Counts } from "./directory/counters";
import { log } from "./logs";
import type { Env } from "./settings";

const FLUSH_MS = 500;
/** A request that has not carried its sums away by then has been ended in the middle of it. */
const LATE_MS = 10_000;

let pending: Counts = none();
let flushingSince: number | null = null;

/**
 * Add to the counters.
 *
 * @param context Of the request that counts; what is left of it carries the sums.
 */
export function count(
  env: Env,
  context: Pick<ExecutionContext, "waitUntil">,
  node: string,
  counts: Partial<Counts>,
): void {
  for (const name of Object.keys(counts) as (keyof Counts)[]) pending[name] += counts[name] ?? 0;
  const now = Date.now();
  if (flushingSince !== null && now - flushingSince < LATE_MS) return;
  flushingSince = now;
  context.waitUntil(flush(env, node));
}

async function flush(env: Env, node: string): Promise<void> {
  await scheduler.wait(FLUSH_MS);
  const counts = pending;
  pending = none();
  flushingSince = null;
  try {
    await env.DIRECTORY.getByName(NAME).count(node, counts);
  } catch (error) {
    // They go with the next ones. Where it had counted and could not say so, they count twice: that is no great harm.
    for (const name of Object.keys(counts) as (keyof Counts)[]) pending[name] += counts[name];
    log("warning", "counts not taken", { error: String(error) });
  }
}

function none(): Counts {
  return { published: 0, delivered: 0, dropped: 0, gaps: 0 };
}
