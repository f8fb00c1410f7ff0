/** What a subscriber asks for, read from a request. Shared by SSE and WebSocket. */

import { checkId, parseTopics } from "./events";
import { InvalidInput } from "./exceptions";
import { readQuery } from "./query";
import type { Settings } from "./settings";

/** Characters of a client's `user-agent` that are kept. */
const MAX_USER_AGENT = 256;

/** One subscriber's request. */
export interface Subscription {
  /** At least one. */
  topics: string[];
  /** Value of `format`, null when not given. */
  form: string | null;
  /** Of the last event that it got, null when it begins anew. */
  lastId: string | null;
  /** The client's address, empty when unknown. */
  client: string;
  userAgent: string;
}

/**
 * Read topics, format and the client's identity.
 *
 * @param formats Values of `format` that this endpoint knows.
 * @param otherwise What is meant where no topic is given; empty where one must be.
 * @throws InvalidInput Which field is wrong, and what to do.
 */
export function readSubscription(
  request: Request,
  settings: Settings,
  formats: readonly string[],
  otherwise: readonly string[] = [],
): Subscription {
  const query = readQuery(request.url);
  const limit = settings.maxTopics;
  const header = request.headers.get("x-sse-topic");
  const fromHeader = parseTopics(header === null ? [] : [header], limit, "x-sse-topic");
  const fromQuery = parseTopics(valuesOf(query, "topic"), limit, "The query parameter topic");
  const given = [...new Set([...fromHeader, ...fromQuery])];
  const topics = given.length > 0 ? given : [...otherwise];
  if (topics.length === 0) {
    throw new InvalidInput(
      "invalid-topic",
      "No topic is given; send the header x-sse-topic or the query parameter topic.",
    );
  }
  if (topics.length > limit) {
    throw new InvalidInput(
      "invalid-topic",
      `Header and query together hold more than ${limit} topics; send at most ${limit}.`,
    );
  }
  const form = valuesOf(query, "format")[0] ?? null;
  if (form !== null && !formats.includes(form)) {
    throw new InvalidInput("invalid-query", `format must be ${formats.join(" or ")}, or be left out.`);
  }
  return {
    topics,
    form,
    lastId: lastIdOf(request, query),
    // The platform's edge sets it, whatever the client sent.
    client: request.headers.get("cf-connecting-ip") ?? "",
    userAgent: (request.headers.get("user-agent") ?? "").slice(0, MAX_USER_AGENT),
  };
}

function lastIdOf(request: Request, query: [string, string][]): string | null {
  // The header wins: a browser's EventSource comes back with the URL that its page gave it, query and all.
  const header = request.headers.get("last-event-id");
  if (header) return checkId(header, "last-event-id");
  const value = valuesOf(query, "last_event_id")[0];
  return value ? checkId(value, "The query parameter last_event_id") : null;
}

function valuesOf(query: [string, string][], name: string): string[] {
  return query.filter(([key]) => key === name).map(([, value]) => value);
}
