/** The only way that an event enters, whoever brings it. */

import { count } from "./counting";
import { rfc3339, type Event } from "./events";
import { log } from "./logs";
import { asked, hand, look } from "./routing";
import type { Env } from "./settings";
import type { Drop, Look } from "./topic/answers";
import { newestOf, type Resume } from "./wire/link";

/** Whom an event was handed to: connections of each topic that exists; empty when it was dropped. */
export type Routed = Record<string, number>;

/** Where a request is being answered. */
export interface Scene {
  env: Env;
  context: Pick<ExecutionContext, "waitUntil">;
  node: string;
}

/**
 * Tell by its headers alone whether a publish's body is to be read. One that is not is recorded as dropped.
 *
 * @throws Unavailable It cannot be known who is connected.
 */
export async function deliverable(scene: Scene, topics: readonly string[], id: string): Promise<boolean> {
  const looks = await look(scene.env, topics, id);
  // Tried again after the last subscriber has left: the answer is still the first one.
  if (looks.some(({ exists, answered }) => exists || answered !== null)) return true;
  await drop(scene, topics, id, looks);
  return false;
}

/**
 * Route an event to every connection of its topics.
 *
 * @throws Unavailable It cannot be known who is connected.
 */
export async function publish(scene: Scene, event: Event): Promise<Routed> {
  const { connections, delivered, fresh } = await hand(scene.env, event);
  if (Object.keys(connections).length === 0) {
    await drop(scene, event.topics, event.id, await look(scene.env, event.topics, event.id));
  } else if (fresh) {
    count(scene.env, scene.context, scene.node, { published: 1, delivered });
  }
  return connections;
}

/** The sum over the topics: a connection that holds two of them counts twice. */
export function subscribers(routed: Routed): number {
  return Object.values(routed).reduce((sum, connections) => sum + connections, 0);
}

async function drop(scene: Scene, topics: readonly string[], id: string, looks: Look[]): Promise<void> {
  log("info", "publish dropped", { topics, id });
  count(scene.env, scene.context, scene.node, { dropped: 1 });
  const told: Drop = { topics: [...topics], id, time: rfc3339(Date.now()), reason: "no-subscribers" };
  const watched = topics.filter((_, index) => (looks[index]?.tails ?? 0) > 0);
  await asked(watched.map((topic) => scene.env.TOPICS.getByName(topic).drop(told)));
}

/** Find where a client stands that comes back, as far as it can be said for all of its topics that keep history. */
export async function resumeOf(scene: Scene, lastId: string, kept: readonly string[]): Promise<Resume> {
  const times = await asked(kept.map((topic) => scene.env.TOPICS.getByName(topic).storedAt(lastId)));
  return { lastId, storedAt: newestOf(times) };
}
