import { expect, test } from "vitest";

import { ago, count, duration, plural, rate, shortCount, size } from "./format";

test.each([
  [0, "0"],
  [0.01, "<0.1"],
  [0.25, "0.3"],
  [9.94, "9.9"],
  [9.96, "10"],
  [999.4, "999"],
  [9549, "9.5K"],
  [2_300_000, "2.3M"],
])("rate %d is %s", (value, text) => expect(rate(value)).toBe(text));

test.each([
  [-5000, "0s"],
  [999, "0s"],
  [59_999, "59s"],
  [60_000, "1m"],
  [3_661_000, "1h 1m"],
  [3_605_000, "1h"],
  [90_000_000, "1d 1h"],
])("%d ms last %s", (milliseconds, text) => expect(duration(milliseconds)).toBe(text));

test("numbers", () => {
  expect(count(1_234_567)).toBe("1,234,567");
  expect(shortCount(9999)).toBe("9,999");
  expect(shortCount(129_100)).toBe("129.1K");
  expect(plural(1, "topic")).toBe("1 topic");
  expect(plural(2000, "topic")).toBe("2,000 topics");
  expect(size(1_048_576)).toBe("1.0 MB");
});

test("ago reads the gateway's microseconds", () => {
  expect(ago("2026-01-02T03:04:05.678901Z", Date.parse("2026-01-02T03:04:07.700Z"))).toBe("2s");
});
