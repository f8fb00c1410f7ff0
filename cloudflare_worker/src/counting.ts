/** What an isolate counts, and its way to the directory: in sums, about once a second. */

import { NAME, type Counts } from "./directory";
import type { Env } from "./settings";

const FLUSH_MS = 500;

let pending: Counts = none();
let flushing = false;

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
  if (flushing) return;
  flushing = true;
  context.waitUntil(flush(env, node));
}

async function flush(env: Env, node: string): Promise<void> {
  await scheduler.wait(FLUSH_MS);
  const counts = pending;
  pending = none();
  flushing = false;
  await env.DIRECTORY.getByName(NAME).count(node, counts);
}

function none(): Counts {
  return { published: 0, delivered: 0, dropped: 0, gaps: 0 };
}
