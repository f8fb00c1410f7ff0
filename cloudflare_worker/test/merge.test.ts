/** The replays of several topics in one order. */

import { describe, expect, it } from "vitest";
import { Merge, type Past } from "../src/history/merge";

interface Item extends Past {
  id: string;
}

/** `id` of an event of topics a, b … at a second. */
function event(id: string, topics: string, second: number): Item {
  const time = new Date(second * 1000).toISOString();
  return { id, topics: topics.split(""), key: topics.length > 1 ? `key ${id}` : "", time };
}

/** What comes out, each event once, when each topic is read in pages. */
function merged(topics: Record<string, Item[]>, page = 2): string {
  const merge = new Merge<Item>(Object.keys(topics));
  const left = new Map(Object.entries(topics).map(([topic, items]) => [topic, [...items]]));
  const ids = new Set<string>();
  for (;;) {
    for (const topic of merge.wanting) {
      const items = left.get(topic)?.splice(0, page) ?? [];
      for (const item of items) merge.add(topic, item);
      if (items.length === 0) merge.end(topic);
    }
    const next = merge.next();
    if (next !== null) ids.add(next.item.id);
    else if (merge.wanting.length === 0) return [...ids].join(" ");
  }
}

describe("merge", () => {
  it("gives nothing while a topic may have an older event", () => {
    const merge = new Merge<Item>(["a", "b"]);
    merge.add("a", event("1", "a", 1));
    expect([merge.wanting, merge.next()]).toEqual([["b"], null]);
    merge.end("b");
    expect(merge.next()?.item.id).toBe("1");
    expect([merge.wanting, merge.next()]).toEqual([["a"], null]);
  });

  it("goes by the events' times", () => {
    const a = [event("1", "a", 1), event("4", "a", 4), event("5", "a", 5)];
    const b = [event("2", "b", 2), event("3", "b", 3), event("6", "b", 6)];
    expect(merged({ a, b })).toBe("1 2 3 4 5 6");
  });

  it("keeps each topic's order, also where the publishers' clocks say otherwise", () => {
    const both = event("both", "ab", 1);
    const a = [event("a1", "a", 5), both, event("a2", "a", 3)];
    const b = [event("b1", "b", 4), event("b2", "b", 5), both];
    expect(merged({ a, b })).toBe("b1 a1 b2 both a2");
  });

  it("ends though two topics have the same events in opposite orders", () => {
    const [x, y] = [event("x", "ab", 1), event("y", "ab", 2)];
    expect(merged({ a: [x, y], b: [y, x] })).toBe("x y");
  });

  it("does not wait for an event that another of its topics no longer has", () => {
    const b = [event("b1", "b", 20), event("b2", "b", 21)];
    expect(merged({ a: [event("x", "ab", 1), event("a1", "a", 30)], b })).toBe("x b1 b2 a1");
  });
});
