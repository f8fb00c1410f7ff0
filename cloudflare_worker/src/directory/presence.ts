/** Whether those who are listed are there: an object that crashed, or a deployment, has taken none of them out. */

import type { ConnectionRow } from "../directory";
import { log } from "../logs";
import type { Env } from "../settings";

/** Names of the objects that hold a connection's sockets. */
export function holders({ home, topics }: Pick<ConnectionRow, "home" | "topics">): string[] {
  return home === "" ? topics : [home];
}

/** What is listed of a connection and is not so; null is all of it. */
export interface Gone {
  id: string;
  topics: string[] | null;
}

/** Ask the objects that hold connections' sockets. Who cannot be asked is not taken for gone. */
export async function findGone(env: Env, rows: readonly ConnectionRow[]): Promise<Gone[]> {
  const byHolder = new Map<string, string[]>();
  for (const row of rows) {
    for (const name of holders(row)) byHolder.set(name, [...(byHolder.get(name) ?? []), row.id]);
  }
  const missing = new Map<string, ReadonlySet<string>>();
  await Promise.all(
    [...byHolder].map(async ([name, ids]) => {
      try {
        missing.set(name, new Set(await env.TOPICS.getByName(name).missing(ids)));
      } catch (error) {
        log("error", "object unreachable", { error: String(error) });
      }
    }),
  );
  return rows.flatMap((row) => {
    const gone = holders(row).filter((name) => missing.get(name)?.has(row.id));
    if (gone.length === 0) return [];
    return [{ id: row.id, topics: row.home === "" ? gone : null }];
  });
}
