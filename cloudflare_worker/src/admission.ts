/**
 * The decision on a publish, taken on its headers alone (contract §3).
 *
 * The order is method, key, headers, declared size; the caller adds placement. Nothing here reads a body, so a publish
 * that will not be delivered costs nothing but its headers.
 */

import { checkEventType, checkId, checkRetry, parseTopics } from "./events";
import { allows } from "./keys";
import { methodNotAllowed, Problem, tooLarge, unauthorized } from "./problems";
import type { Settings } from "./settings";

export const ALLOW = "POST, OPTIONS";

/** A publish whose headers are in order. */
export interface Admitted {
  topics: string[];
  id: string;
  event: string | null;
  retry: number | null;
}

/**
 * Decide on a publish by its method and headers.
 *
 * @throws Problem What to answer. @throws InvalidInput A header breaks a rule.
 */
export async function admit(method: string, headers: Headers, settings: Settings): Promise<Admitted> {
  if (method !== "POST") throw methodNotAllowed(method, ALLOW);
  if (!(await allows(settings.apiKeys, headers))) throw unauthorized();
  const topics = headers.get("x-sse-topic") ?? missing("x-sse-topic", "the topics to publish to, separated by commas");
  const id = headers.get("x-sse-id") ?? missing("x-sse-id", "the event's id");
  const event = headers.get("x-sse-event");
  const retry = headers.get("x-sse-retry");
  const admitted = {
    topics: parseTopics([topics], settings.maxTopics, "x-sse-topic"),
    // Sent twice, a header's values come joined by a comma, which no id, event type or retry holds.
    id: checkId(id, "x-sse-id"),
    event: event === null ? null : checkEventType(event, "x-sse-event"),
    retry: retry === null ? null : checkRetry(retry, "x-sse-retry"),
  };
  checkDeclaredSize(headers, settings.maxEventBytes);
  return admitted;
}

/** Refuse a declared size that is over the limit, or none. */
export function checkDeclaredSize(headers: Headers, limit: number): void {
  const declared = headers.get("content-length") ?? "0";
  if (!/^\d+$/.test(declared)) {
    throw new Problem(400, "invalid-request", "content-length must be a whole number of bytes.");
  }
  if (Number(declared) > limit) throw tooLarge(limit);
}

function missing(name: string, meaning: string): never {
  throw new Problem(400, "missing-header", `The header ${name} is missing; send ${meaning}.`);
}
