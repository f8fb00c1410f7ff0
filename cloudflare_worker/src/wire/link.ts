/**
 * Between a topic's object and what reads from it: a subscriber's own WebSocket, or the Worker's that makes an event
 * stream of it. Pure.
 */

import type { Event } from "../events";
import { encodeControl, encodeEvent, encodeEventJson } from "./sse";
import { eventObject } from "./websocket";

/** What a connection sees of an event. The first two are subscribers' own sockets, the others the Worker's links. */
export type Format = "websocket-json" | "websocket-raw" | "sse" | "sse-json" | "tail";

/** Header of the request that opens a socket: who it is for, as percent-encoded JSON. */
export const LINK_HEADER = "x-gateway-link";

/** Header of the same request, where a part sent it back to the whole: the number of that part. */
export const FULL_HEADER = "x-gateway-full";

/** What the object is told of a socket when it opens. */
export interface Link {
  id: string;
  format: Format;
  /** The location of the Worker that took it. */
  node: string;
  /** Only of `websocket-*`: the client's topics, this object's among them, and what the lists show. */
  client?: { topics: string[]; address: string; userAgent: string };
  /** Only where it takes up where it left. */
  resume?: Start;
}

/** Where a client stands that comes back. */
export interface Resume {
  /** Id of the last event that it got. */
  lastId: string;
  /** When that was stored in any of its topics, in milliseconds; null when none keeps it. */
  storedAt: number | null;
}

/** When the id was stored last in any of the topics; null when in none. */
export function newestOf(times: readonly (number | null)[]): number | null {
  return times.reduce((newest, time) => (time !== null && time > (newest ?? 0) ? time : newest), null);
}

/** Where a stream begins that does not begin with what comes: behind an event, or with the newest that are kept. */
export type Start = Resume | { newest: number };

/** What an object tells a link beside events. `page` ends a part of what the client missed; `end` says it was the last. */
export type Control =
  | { type: "close"; reason: string; retry: number }
  | { type: "gap"; topic: string; missed: number | null; reason: string }
  | { type: "page"; end: boolean }
  | { type: "ask" };

/** What a link sends to be given the next page of what its client missed. */
export const MORE = "more";

/** What a link answers to `ask`: the figures of the stream that it feeds. */
export interface Figures {
  sent: number;
  pending: number;
  pending_bytes: number;
  /** RFC 3339, null while nothing waits. */
  behind_since: string | null;
}

export function isWebSocket(format: Format): boolean {
  return format === "websocket-json" || format === "websocket-raw";
}

/** One event on its way to many sockets: each format is encoded once, when first asked for. */
export class Outgoing {
  private readonly frames = new Map<Format, string>();

  /**
   * @param event What was published.
   * @param key Names the event for connections to which it may come from several objects; empty where that cannot be.
   * @param topic By which topic it comes.
   * @param number Its number there, null where it is not kept.
   */
  constructor(
    readonly event: Event,
    readonly key: string,
    readonly topic: string,
    readonly number: number | null,
  ) {}

  frame(format: Format): string {
    let frame = this.frames.get(format);
    if (frame === undefined) {
      frame = this.encode(format);
      this.frames.set(format, frame);
    }
    return frame;
  }

  private encode(format: Format): string {
    switch (format) {
      case "websocket-json":
        return eventObject(this.event);
      case "websocket-raw":
        return this.event.data;
      case "sse":
        return eventMessage(this.key, encodeEvent(this.event));
      case "sse-json":
        return eventMessage(this.key, encodeEventJson(this.event));
      case "tail":
        return eventMessage("", encodeControl("published", eventObject(this.event)));
    }
  }
}

/** Write a message for a link that carries text for its stream. */
export function eventMessage(key: string, frame: string): string {
  return `e${key}\n${frame}`;
}

/** Write a message for a link that carries an event of the past, so that it can be put into order with other topics'. */
export function pastMessage({ time, topics }: Event, message: string): string {
  return `p${time} ${topics.join(",")} ${message}`;
}

/** Write a message for a link that tells it something. */
export function controlMessage(control: Control): string {
  return `c${JSON.stringify(control)}`;
}

/** Text for a stream, as a link got it. */
export interface Text {
  key: string;
  frame: string;
}

/** What a link got from an object. */
export type LinkMessage = Control | Text | (Text & { time: string; topics: string[] });

/** Read a message of a link. */
export function readMessage(message: string): LinkMessage {
  if (message.startsWith("c")) return JSON.parse(message.slice(1)) as Control;
  if (!message.startsWith("p")) return readText(message);
  const times = message.indexOf(" ");
  const names = message.indexOf(" ", times + 1);
  const topics = message.slice(times + 1, names).split(",");
  return { ...readText(message.slice(names + 1)), time: message.slice(1, times), topics };
}

function readText(message: string): Text {
  const end = message.indexOf("\n");
  return { key: message.slice(1, end), frame: message.slice(end + 1) };
}

/** Write what a stream's client is told of a control message. */
export function controlFrame(control: Extract<Control, { type: "close" | "gap" }>): string {
  if (control.type === "close") {
    const { reason, retry } = control;
    return encodeControl("gateway.close", { reason, retry }, retry);
  }
  const { topic, missed, reason } = control;
  return encodeControl("gateway.gap", { topic, missed, reason });
}
