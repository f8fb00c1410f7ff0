/** The shared nouns: events, topic lists and ids, and the rules for them. Pure. */

import { InvalidInput } from "./exceptions";
import type { Slug } from "./problems";

/** Longest retry that a publisher may ask for, in milliseconds: one day. */
export const MAX_RETRY_MS = 86_400_000;
/** Event types that begin so belong to the gateway. */
export const RESERVED_PREFIX = "gateway.";
/** What EventSource dispatches when a stream names no event type (WHATWG HTML §9.2.6). */
export const DEFAULT_EVENT_TYPE = "message";

// Visible ASCII without the comma, which separates the items of a list.
const NAME = /^[\x21-\x2b\x2d-\x7e]{1,255}$/;
const NAME_RULE = "1 to 255 visible ASCII characters without a comma";

/** One event as it was accepted. */
export interface Event {
  /** The topics it was published to, without repeats, in the publisher's order. */
  topics: string[];
  id: string;
  data: string;
  /** The event type, or null for `message`. */
  event: string | null;
  /** Reconnect time in milliseconds for the clients that get it, or null. */
  retry: number | null;
  /** When the gateway accepted it: RFC 3339, UTC. */
  time: string;
}

/** Write a time, in milliseconds since the epoch, as RFC 3339 in UTC with microseconds, as the Python gateway does. */
export function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace("Z", "000Z");
}

/**
 * Read topic lists and return their union in order, repeats counted once.
 *
 * @param values One or more lists, each of topics separated by commas with optional spaces.
 * @param limit Most topics that the union may hold.
 * @param where Name of the header or parameter, for the message.
 * @throws InvalidInput An empty item, a bad character, a topic too long, or more than `limit` topics.
 */
export function parseTopics(values: Iterable<string>, limit: number, where: string): string[] {
  const topics = new Set<string>();
  for (const value of values) {
    for (const item of value.split(",")) {
      const topic = item.replace(/^ +| +$/g, "");
      if (!NAME.test(topic)) {
        throw new InvalidInput("invalid-topic", `${where} holds ${describe(topic)}; a topic is ${NAME_RULE}.`);
      }
      topics.add(topic);
      if (topics.size > limit) {
        throw new InvalidInput("invalid-topic", `${where} holds more than ${limit} topics; send at most ${limit}.`);
      }
    }
  }
  return [...topics];
}

/** Return `value` if it is an id. */
export function checkId(value: string, where: string): string {
  return check(value, "invalid-id", `an id is ${NAME_RULE}`, where);
}

/** Return the event type, null for `message`. */
export function checkEventType(value: string, where: string): string | null {
  check(value, "invalid-event-type", `an event type is ${NAME_RULE}`, where);
  if (value.startsWith(RESERVED_PREFIX)) {
    throw new InvalidInput(
      "invalid-event-type",
      `${where} begins with '${RESERVED_PREFIX}', which is the gateway's; choose another.`,
    );
  }
  return value === DEFAULT_EVENT_TYPE ? null : value;
}

/** Return the milliseconds. */
export function checkRetry(value: string, where: string): number {
  if (!/^[0-9]{1,8}$/.test(value) || Number(value) > MAX_RETRY_MS) {
    throw new InvalidInput("invalid-retry", `${where} must be whole milliseconds from 0 to ${MAX_RETRY_MS}.`);
  }
  return Number(value);
}

function check(value: string, slug: Slug, rule: string, where: string): string {
  if (!NAME.test(value)) {
    throw new InvalidInput(slug, `${where} holds ${describe(value)}; ${rule}.`);
  }
  return value;
}

function describe(name: string): string {
  // The whole value may be a megabyte of hostile bytes: name the fault, not the value.
  if (name === "") return "an empty item";
  if (name.length > 255) return `an item of ${name.length} characters`;
  const bad = Array.from(name).find((character) => !NAME.test(character)) ?? "";
  const code = bad.codePointAt(0) ?? 0;
  return `the character ${code > 0x20 && code < 0x7f ? `'${bad}'` : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`}`;
}
