/** Server-Sent Events: text out (WHATWG HTML §9.2, "Server-sent events"). */

import type { Event } from "../events";
import { eventObject } from "./websocket";

/** A comment, which every EventSource ignores (WHATWG HTML §9.2.5). */
export const KEEP_ALIVE = ": keep-alive\n\n";

/** Encode an event with its data as it is, one `data:` line a line; CR, LF and CRLF all reach the client as LF. */
export function encodeEvent(event: Event): string {
  return block(event, event.data.split(/\r\n|\r|\n/));
}

/** Encode an event with the WebSocket's event object as its data (`format=json`). */
export function encodeEventJson(event: Event): string {
  return block(event, [eventObject(event)]);
}

/**
 * Encode one of the gateway's own events. It carries no id, so that it never moves a client's position.
 *
 * @param name `gateway.open`, `gateway.gap` or `gateway.close`; the tail's `published` and `dropped`.
 * @param payload Becomes the JSON data; a text is JSON already.
 * @param retry Reconnect time in milliseconds to set, or null.
 */
export function encodeControl(name: string, payload: object | string, retry: number | null = null): string {
  const first = retry === null ? "" : `retry: ${retry}\n`;
  return `${first}event: ${name}\ndata: ${typeof payload === "string" ? payload : JSON.stringify(payload)}\n\n`;
}

function block(event: Event, lines: string[]): string {
  let text = `id: ${event.id}\n`;
  if (event.event !== null) text += `event: ${event.event}\n`;
  if (event.retry !== null) text += `retry: ${event.retry}\n`;
  for (const line of lines) text += `data: ${line}\n`;
  return `${text}\n`;
}
