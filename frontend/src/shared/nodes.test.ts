import { expect, test } from "vitest";

import type { GatewayNode } from "./api/types";
import { health, remember, TOLD_FOR_MS } from "./nodes";

function node(name: string): GatewayNode {
  const time = "2026-01-02T03:04:05Z";
  const identity = { name, host: "", port: null, since: time, last_seen: time, silent: false, version: "0.1.0" };
  return { ...identity, connections: 0, topics: 0, draining: false };
}

test("a node that is listed no more is told of for a while, and one that comes back is not", () => {
  const three = remember(undefined, [node("a"), node("b"), node("c")], 0);
  expect(three.gone).toEqual([]);
  const two = remember(three, [node("a"), node("b")], 1000);
  expect(two.gone).toEqual([{ name: "c", at: 1000 }]);
  const one = remember(two, [node("a")], 2000);
  expect(one.gone).toEqual([
    { name: "b", at: 2000 },
    { name: "c", at: 1000 },
  ]);
  expect(remember(one, [node("a"), node("c")], 3000).gone).toEqual([{ name: "b", at: 2000 }]);
  expect(remember(one, [node("a")], 1000 + TOLD_FOR_MS).gone).toEqual([{ name: "b", at: 2000 }]);
});

test("a node that is silent is not what it last said of itself", () => {
  expect(health(node("a"))).toBe("healthy");
  expect(health({ ...node("a"), draining: true })).toBe("draining");
  expect(health({ ...node("a"), draining: true, silent: true })).toBe("silent");
});
