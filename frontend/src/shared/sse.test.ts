import { expect, test } from "vitest";

import { SseParser, type SseEvent } from "./sse";

const STREAM =
  "retry: 3000\nevent: gateway.open\ndata: {}\n\n: keep-alive\n\nevent:published\r\ndata: a\r\ndata:b\r\ndata\r\n\r\n" +
  "id: 7\rdata:  two spaces\r\revent: nothing\n\nunknown: x\ndata: ☃\n\nretry: 1x\n\nretry: 50\n\ndata: unfinished";

const EVENTS: SseEvent[] = [
  { type: "gateway.open", data: "{}", retry: 3000 },
  { type: "published", data: "a\nb\n", retry: null },
  { type: "message", data: " two spaces", retry: null },
  { type: "message", data: "☃", retry: null },
  { type: "message", data: "", retry: 50 },
];

test("a stream in one piece", () => {
  expect(new SseParser().push(STREAM)).toEqual(EVENTS);
});

test.each([1, 2, 3, 5, 7, 64])("a stream in pieces of %d", (length) => {
  const parser = new SseParser();
  const events: SseEvent[] = [];
  for (let start = 0; start < STREAM.length; start += length) {
    events.push(...parser.push(STREAM.slice(start, start + length)), ...parser.push(""));
  }
  expect(events).toEqual(EVENTS);
});

test("a byte order mark before the stream is no part of it", () => {
  expect(new SseParser().push("\ufeffdata: x\n\n")).toEqual([{ type: "message", data: "x", retry: null }]);
});

test("a long line takes time in proportion to its length", () => {
  const parser = new SseParser();
  parser.push("data: ");
  for (let piece = 0; piece < 20_000; piece += 1) parser.push("x".repeat(50));
  expect(parser.push("\n\n")[0]?.data).toHaveLength(1_000_000);
});
