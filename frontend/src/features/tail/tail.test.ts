import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { TailBuffer } from "./buffer";
import { fileName } from "./download";
import { matches, nextSeq, notice, readMessage, toJsonLine, type Published } from "./entries";
import { delay } from "./follow";
import { ExactNumber, parseJson } from "./json";
import { readLast } from "./last";

function published(id: string, data = ""): Published {
  return { kind: "published", seq: nextSeq(), time: "", id, event: "message", topics: ["news"], data, kept: false };
}

describe("the buffer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("tells of many events at once, ten times a second", () => {
    const buffer = new TailBuffer();
    const told = vi.fn();
    buffer.subscribe(told);
    for (let number = 0; number < 50; number += 1) buffer.add(published(String(number)));
    expect(told).not.toHaveBeenCalled();
    vi.advanceTimersByTime(100);
    expect(told).toHaveBeenCalledOnce();
    expect(buffer.view().entries).toHaveLength(50);
    vi.advanceTimersByTime(1000);
    expect(told).toHaveBeenCalledOnce();
  });

  test("keeps the newest, and counts what it lets go", () => {
    const buffer = new TailBuffer(3);
    buffer.add(notice("lost"));
    for (const id of ["1", "2", "3", "4"]) buffer.add(published(id));
    buffer.flush();
    const { entries, received, forgotten } = buffer.view();
    expect(entries.map((entry) => entry.kind === "published" && entry.id)).toEqual(["2", "3", "4"]);
    expect([received, forgotten]).toEqual([4, 2]);
  });

  test("is bounded in characters too, but always has the newest", () => {
    const buffer = new TailBuffer(100, 1000);
    for (let number = 0; number < 10; number += 1) buffer.add(published(String(number), "x".repeat(300)));
    buffer.flush();
    expect(buffer.view().entries).toHaveLength(3);
    buffer.add(published("huge", "x".repeat(5000)));
    buffer.flush();
    expect(buffer.view().entries).toMatchObject([{ id: "huge" }]);
    buffer.add(published("small", "x"));
    buffer.flush();
    expect(buffer.view().entries).toMatchObject([{ id: "small" }]);
  });

  test("clears what has come and what waits", () => {
    const buffer = new TailBuffer();
    buffer.add(published("1"));
    buffer.flush();
    buffer.add(published("2"));
    buffer.clear();
    vi.advanceTimersByTime(1000);
    expect(buffer.view()).toEqual({ entries: [], received: 0, forgotten: 0 });
  });
});

describe("messages", () => {
  const read = (type: string, data: string) => readMessage({ type, data, retry: null });

  test("published and dropped", () => {
    const event = '{"type":"event","topics":["a","b"],"id":"1","event":"price","data":"x","time":"t"}';
    expect(read("published", event)).toMatchObject({
      kind: "entry",
      entry: { kind: "published", topics: ["a", "b"], id: "1", event: "price", data: "x", time: "t" },
    });
    expect(read("dropped", '{"topics":["a"],"id":"2","time":"t","reason":"no-subscribers"}')).toMatchObject({
      entry: { kind: "dropped", id: "2", reason: "no-subscribers" },
    });
  });

  test("a gap is told where it is, with its number when it is known", () => {
    expect(read("gateway.gap", '{"topic":"a","missed":3,"reason":"slow-reader"}')).toMatchObject({
      entry: { kind: "notice", text: "3 events are missing here (slow-reader)." },
    });
    expect(read("gateway.gap", '{"topic":"a","missed":null,"reason":"slow-reader"}')).toMatchObject({
      entry: { text: "Events are missing here (slow-reader)." },
    });
  });

  test("open says how many kept events come first; an older gateway does not", () => {
    expect(read("gateway.open", '{"topic":"a","node":"n","kept":3}')).toEqual({ kind: "open", node: "n", kept: 3 });
    expect(read("gateway.open", '{"topic":"a","node":"n"}')).toEqual({ kind: "open", node: "n", kept: 0 });
  });

  test.each([
    ["published", "not JSON"],
    ["published", "null"],
    ["message", "{}"],
    ["gateway.later", "{}"],
  ])("%s with %s is passed over", (type, data) => expect(read(type, data)).toEqual({ kind: "unknown" }));

  test("wrong types do not break the page", () => {
    expect(read("published", '{"topics":"a","id":1,"event":null,"data":{},"time":[]}')).toMatchObject({
      entry: { topics: [], id: "", event: "message", data: "", time: "" },
    });
  });
});

test("a line of NDJSON has everything but the number on this page", () => {
  const entry = published("1", 'line\n"quoted"');
  expect(toJsonLine(entry)).not.toContain("\n");
  const { seq, ...rest } = entry;
  expect(seq).toBeGreaterThan(0);
  expect(JSON.parse(toJsonLine(entry))).toEqual(rest);
});

test.each([
  [null, 0],
  ["100", 100],
  ["7", 0],
  ["1e2", 0],
])("the address's last=%s is %i", (text, last) => expect(readLast(text)).toBe(last));

test("a filter finds data, id, topic and type in any case, and never hides a notice", () => {
  const entry = published("Id-7", "Grüße");
  for (const needle of ["grüße", "id-7", "news", "message"]) expect(matches(entry, needle)).toBe(true);
  expect(matches(entry, "other")).toBe(false);
  expect(matches(notice("lost"), "other")).toBe(true);
});

// Node.js tells a reviver the source text of a number from version 21 on; the browsers that the build is for all do.
const tellsSource =
  JSON.parse("1.0", (_, value: unknown, context?: { source?: string }) => context?.source ?? value) === "1.0";

test.skipIf(!tellsSource)("JSON keeps numbers that JavaScript would change", () => {
  const value = parseJson('{"big":12345678901234567890,"plain":1.5}');
  expect(value).toEqual({ big: new ExactNumber("12345678901234567890"), plain: 1.5 });
});

test.each(["text", "12", '"string"', "{broken", "", `[${"1,".repeat(200_000)}1]`])("no tree for %.20s", (text) => {
  expect(parseJson(text)).toBeNull();
});

test("the wait grows to a bound, from what the gateway asked for, and differs between clients", () => {
  expect(delay(0, null, () => 0.5)).toBe(1000);
  expect(delay(0, 200, () => 0.5)).toBe(200);
  expect(delay(2, 200, () => 0.5)).toBe(800);
  expect(delay(50, 3000, () => 0.5)).toBe(15_000);
  expect(delay(0, 1000, () => 0)).toBe(750);
  expect(delay(0, 1000, () => 1)).toBe(1250);
});

test("a file's name holds nothing that a file system does not take", () => {
  const time = new Date("2026-01-02T03:04:05.678Z");
  expect(fileName("orders.eu", time)).toBe("tail-orders.eu-20260102T030405Z.ndjson");
  expect(fileName("../<a>:b/c", time)).toBe("tail-_a_b_c-20260102T030405Z.ndjson");
  expect(fileName("x".repeat(255), time)).toHaveLength(5 + 80 + 1 + 16 + 7);
});
