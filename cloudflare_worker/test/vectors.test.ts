/** The wire vectors that every implementation is held to (tests/vectors/README.md). */

import { describe, expect, it } from "vitest";
import ids from "../../tests/vectors/ids.json";
import sse from "../../tests/vectors/sse.json";
import topics from "../../tests/vectors/topics.json";
import websocket from "../../tests/vectors/websocket.json";
import { checkEventType, checkId, parseTopics, type Event } from "../src/events";
import { InvalidInput } from "../src/exceptions";
import { encodeControl, encodeEvent, encodeEventJson, KEEP_ALIVE } from "../src/wire/sse";
import { eventObject, parseCommand } from "../src/wire/websocket";

const LIMIT = 100;

interface SseCase {
  name: string;
  event?: Event;
  control?: { name: string; payload: object; retry: number | null };
  comment?: unknown;
  raw: string;
  json?: string;
}

interface WebSocketCase {
  name: string;
  event?: Event;
  message?: object;
  command?: string;
  text?: string;
  raw?: string;
  type?: string;
  topics?: string[];
  error?: boolean;
}

function problemOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidInput) return error.slug;
    throw error;
  }
  return "none";
}

describe("sse.json", () => {
  it.each(sse.cases as SseCase[])("$name", ({ event, control, raw, json }) => {
    if (event !== undefined) {
      expect(encodeEvent(event)).toBe(raw);
      expect(encodeEventJson(event)).toBe(json);
    } else if (control !== undefined) {
      expect(encodeControl(control.name, control.payload, control.retry)).toBe(raw);
    } else {
      expect(KEEP_ALIVE).toBe(raw);
    }
  });
});

describe("websocket.json", () => {
  it.each(websocket.cases as WebSocketCase[])(
    "$name",
    ({ event, message, command, text, raw, type, topics: held, error }) => {
      if (event !== undefined) {
        expect(eventObject(event)).toBe(text);
        expect(event.data).toBe(raw);
      } else if (message !== undefined) {
        expect(JSON.stringify(message)).toBe(text);
      } else if (error) {
        expect(() => parseCommand(command ?? "", LIMIT)).toThrow(InvalidInput);
      } else {
        const parsed = parseCommand(command ?? "", LIMIT);
        expect(parsed.type).toBe(type);
        if (parsed.type !== "ping") expect(parsed.topics).toEqual(held);
      }
    },
  );
});

describe("topics.json", () => {
  it.each(topics.cases as { name: string; values: string[]; topics?: string[]; error?: string }[])(
    "$name",
    ({ values, topics: expected, error }) => {
      if (error === undefined) expect(parseTopics(values, LIMIT, "here")).toEqual(expected);
      else expect(problemOf(() => parseTopics(values, LIMIT, "here"))).toBe(error);
    },
  );
});

describe("ids.json", () => {
  it.each(
    ids.cases as { name: string; id?: string; valid?: boolean; event?: string; type?: string | null; error?: string }[],
  )("$name", ({ id, valid, event, type, error }) => {
    if (id !== undefined) expect(problemOf(() => checkId(id, "here"))).toBe(valid ? "none" : "invalid-id");
    else if (error !== undefined) expect(problemOf(() => checkEventType(event ?? "", "here"))).toBe(error);
    else expect(checkEventType(event ?? "", "here")).toBe(type);
  });
});
