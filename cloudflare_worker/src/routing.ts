/** An event on its way to the objects of its topics, each of which decides for its own connections. */

import type { Event } from "./events";
import { Unavailable } from "./exceptions";
import { log } from "./logs";
import { newId } from "./node";
import { settingsOf, type Env } from "./settings";
import type { Delivery, Look } from "./topic/answers";

/** What became of an event in those of its topics that exist. */
export interface Handed {
  /** Connections of each. */
  connections: Record<string, number>;
  /** Writes to sockets. */
  delivered: number;
  /** Whether it is new to any of them: it is not, when a publisher only tried again. */
  fresh: boolean;
}

/** Ask the topics' objects whether they exist, and whether they have had an event of this id. */
export async function look(env: Env, topics: readonly string[], id: string): Promise<Look[]> {
  return asked(topics.map((topic) => env.TOPICS.getByName(topic).look(id)));
}

/** Hand an event to its topics' objects. */
export async function hand(env: Env, event: Event): Promise<Handed> {
  const handed: Handed = { connections: {}, delivered: 0, fresh: false };
  const several = event.topics.length > 1;
  if (several && settingsOf(env).dedupeSeconds > 0) {
    await handOnce(env, event, handed);
  } else {
    // A connection that holds several of its topics knows it by this key when it comes again.
    await handTo(env, event.topics, event, several ? newId() : "", handed);
  }
  return handed;
}

/**
 * Hand an event to those of several topics that have not had one of its id; the others give their first answers.
 *
 * Objects have no step in common, so two tries at the same moment may each reach another one first. A connection of both
 * topics gets the event once all the same: the tries ask the same topic first, where the later one learns the key of the
 * earlier, and takes it for the rest.
 */
async function handOnce(env: Env, event: Event, handed: Handed): Promise<void> {
  const looks = await look(env, event.topics, event.id);
  const topics: string[] = [];
  let key: string | null = null;
  event.topics.forEach((topic, index) => {
    const answered = looks[index]?.answered ?? null;
    if (answered === null) topics.push(topic);
    else handed.connections[topic] = answered.connections;
    key ??= answered?.key ?? null;
  });
  key ??= newId();
  const told = { ...event, topics };
  for (const [index, topic] of topics.entries()) {
    const taken = await handTo(env, [topic], told, key, handed);
    if (taken === null) continue;
    await handTo(env, topics.slice(index + 1), told, taken, handed);
    return;
  }
}

/** @returns The key that the first of the topics to exist knows the event by, null when none does. */
async function handTo(
  env: Env,
  topics: readonly string[],
  event: Event,
  key: string,
  handed: Handed,
): Promise<string | null> {
  let known: string | null = null;
  const deliveries: (Delivery | null)[] = await asked(
    topics.map((topic) => env.TOPICS.getByName(topic).publish(event, key)),
  );
  deliveries.forEach((delivery, index) => {
    if (delivery === null) return;
    handed.connections[topics[index] ?? ""] = delivery.connections;
    handed.delivered += delivery.delivered;
    handed.fresh ||= !delivery.repeated;
    known ??= delivery.key;
  });
  return known;
}

/** Wait for answers of objects; when one cannot be had, nothing true can be said. */
export async function asked<T>(answers: readonly PromiseLike<T>[]): Promise<T[]> {
  try {
    return await Promise.all(answers);
  } catch (error) {
    log("error", "object unreachable", { error: String(error) });
    throw new Unavailable();
  }
}
