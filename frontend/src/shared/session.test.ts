import { expect, test } from "vitest";

import { currentKey, keyRefused, signIn, signOut } from "./session";

test("a key is kept, and forgotten at signing out", () => {
  signIn("a");
  expect(currentKey()).toBe("a");
  expect(localStorage).toHaveLength(1);
  signOut();
  expect(currentKey()).toBeNull();
  expect(localStorage).toHaveLength(0);
});

test("a key that another tab stores counts here too", () => {
  signIn("a");
  localStorage.setItem("sse-gateway.key", "b");
  window.dispatchEvent(new StorageEvent("storage", { key: "sse-gateway.key" }));
  expect(currentKey()).toBe("b");
});

test("a late 401 to an older key does not sign out", async () => {
  const { renderHook, act } = await import("@testing-library/react");
  const { useSession } = await import("./session");
  signIn("new");
  const { result } = renderHook(() => useSession());
  act(() => keyRefused("old"));
  expect(result.current).toEqual({ key: "new", refused: false });
  act(() => keyRefused("new"));
  expect(result.current).toEqual({ key: "new", refused: true });
});
