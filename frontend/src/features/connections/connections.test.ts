import { describe, expect, test } from "vitest";

import { onward, readTrail } from "./paging";
import { pace, SLOW_AFTER_MS } from "./slow";
import { isTransport } from "./transports";

test("the trail goes on page by page", () => {
  const second = onward(null, null);
  expect(second).toEqual({ cursors: [null] });
  expect(onward(second, "two")).toEqual({ cursors: [null, "two"] });
});

test("of a page opened by a link the way back is not known", () => {
  expect(onward(null, "two")).toBeNull();
});

test.each([null, undefined, "x", {}, { cursors: "x" }, { cursors: [1] }])("%j is no trail", (state) => {
  expect(readTrail(state)).toBeNull();
});

test("a trail survives the browser's history", () => {
  expect(readTrail(structuredClone({ cursors: [null, "two"] }))).toEqual({ cursors: [null, "two"] });
});

describe("a reader", () => {
  const since = "2026-01-02T03:04:05.678901Z";
  const after = (milliseconds: number) => Date.parse(since) + milliseconds;
  const keepsUp = { pending: 0, pending_bytes: 0, behind_since: null };
  const waits = { pending: 0, pending_bytes: 700, behind_since: since };

  test("that nothing waits for keeps up", () => expect(pace(keepsUp, after(9e9))).toBe("idle"));

  test("is behind for a moment, and slow from then on, even with one event half written", () => {
    expect(pace(waits, after(SLOW_AFTER_MS - 1))).toBe("behind");
    expect(pace(waits, after(SLOW_AFTER_MS))).toBe("slow");
  });

  test("is behind while events wait for its first byte", () => {
    expect(pace({ ...keepsUp, pending: 1 }, 0)).toBe("behind");
  });

  test("of a node that does not answer is not called quick", () => {
    expect(pace({ pending: null, pending_bytes: null, behind_since: null }, 0)).toBe("unknown");
  });
});

test("only the transports of the contract are filters", () => {
  expect(["sse", "websocket", "toString", "", null].map(isTransport)).toEqual([true, true, false, false, false]);
});
