/** WebSocket: the JSON objects, and the commands. */

import { checkId, DEFAULT_EVENT_TYPE, parseTopics, type Event } from "../events";
import { InvalidInput } from "../exceptions";

/** Largest message taken from a client, in bytes: the longest command (100 topics of 255) fits twice. */
export const MAX_MESSAGE_BYTES = 65_536;
/** So many bad messages in a row close the connection. */
export const MAX_BAD_MESSAGES = 3;

/** Closed by an administrator (RFC 6455 §7.4.1, as the codes below). */
export const CLOSE_NORMAL = 1000;
/** Bad messages, repeated. */
export const CLOSE_POLICY = 1008;
/** A message over `MAX_MESSAGE_BYTES`. */
export const CLOSE_TOO_BIG = 1009;
/** What the client missed cannot be read now (registered with IANA). */
export const CLOSE_TRY_AGAIN = 1013;

const ADVICE = 'send {"type":"subscribe","topics":[…]}, {"type":"unsubscribe","topics":[…]} or {"type":"ping"}';

/** What a client asked for on `/ws`. */
export type Command =
  | { type: "ping" }
  | { type: "unsubscribe"; topics: string[] }
  | { type: "subscribe"; topics: string[]; lastId: string | null };

/**
 * Read one message from a client.
 *
 * @param message The text, or the bytes of a binary message.
 * @param limit Most topics in one command.
 * @throws InvalidInput It is no command; the detail says which are.
 */
export function parseCommand(message: string | ArrayBuffer, limit: number): Command {
  if (typeof message !== "string") {
    throw new InvalidInput("invalid-request", `A binary message is not understood; ${ADVICE} as text.`);
  }
  let command: unknown;
  try {
    command = JSON.parse(message);
  } catch {
    throw new InvalidInput("invalid-request", `The message is not JSON; ${ADVICE}.`);
  }
  const { type, topics, last_event_id } = (typeof command === "object" && command !== null ? command : {}) as Record<
    string,
    unknown
  >;
  if (type === "ping") return { type };
  if (type !== "subscribe" && type !== "unsubscribe") {
    throw new InvalidInput("invalid-request", `The message is no command; ${ADVICE}.`);
  }
  if (!Array.isArray(topics) || topics.length === 0) {
    throw new InvalidInput("invalid-request", "topics must be a list of one topic or more.");
  }
  const names = topics.map((topic: unknown) => {
    if (typeof topic !== "string") throw new InvalidInput("invalid-request", "topics must be a list of strings.");
    if (topic.includes(",")) {
      throw new InvalidInput("invalid-request", "A topic holds a comma; send each topic as its own item of the list.");
    }
    return topic;
  });
  const parsed = parseTopics(names, limit, "topics");
  return type === "unsubscribe" ? { type, topics: parsed } : { type, topics: parsed, lastId: lastIdOf(last_event_id) };
}

function lastIdOf(value: unknown): string | null {
  if (value === undefined || value === null || value === "") return null;
  if (typeof value === "string") return checkId(value, "last_event_id");
  throw new InvalidInput("invalid-id", "last_event_id must be a string: the id of the last event that came.");
}

/** Write an event as the JSON object that WebSocket clients, `format=json` and tails see. */
export function eventObject(event: Event): string {
  return JSON.stringify({
    type: "event",
    topics: event.topics,
    id: event.id,
    event: event.event ?? DEFAULT_EVENT_TYPE,
    data: event.data,
    time: event.time,
  });
}
