import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { noteGatewayTime, useNow } from "./now";

const HERE = Date.parse("2026-01-02T03:04:05Z");

beforeEach(() => void vi.useFakeTimers({ now: HERE }));
afterEach(() => void vi.useRealTimers());

test.each([
  ["Fri, 02 Jan 2026 05:04:05 GMT", 7_200_000],
  ["Fri, 02 Jan 2026 03:04:04 GMT", 0],
  ["nonsense", 0],
  [null, 0],
])("with an answer of %s the time is %d ms ahead", (date, ahead) => {
  noteGatewayTime("Fri, 02 Jan 2026 03:04:05 GMT");
  noteGatewayTime(date);
  const { result } = renderHook(() => useNow());
  act(() => void vi.advanceTimersByTime(1000));
  expect(result.current - HERE - 1000).toBe(ahead);
});
