import { expect, test } from "vitest";

import { onward, readTrail } from "./paging";
import { pace, SLOW_FROM } from "./slow";
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

test("a reader is slow from a bound on", () => {
  expect([0, 1, SLOW_FROM - 1, SLOW_FROM].map(pace)).toEqual(["idle", "behind", "behind", "slow"]);
});

test("only the transports of the contract are filters", () => {
  expect(["sse", "websocket", "toString", "", null].map(isTransport)).toEqual([true, true, false, false, false]);
});
