import { expect, test } from "vitest";

import type { SourceOnNode } from "./api/types";
import { sourceHealth, together } from "./sources";

type State = SourceOnNode["state"];

function on(runs_on: SourceOnNode["runs_on"], ...states: State[]) {
  return sourceHealth(states.map((state) => ({ state, runs_on })));
}

test("a source of one node is as that node is, whoever stands by", () => {
  expect(on("one-node", "standby", "running", "standby")).toBe("running");
  expect(on("one-node", "standby", "failing")).toBe("failing");
  expect(on("one-node", "standby", "standby")).toBe("starting");
  expect(on("one-node", "starting")).toBe("starting");
  expect(on("one-node", "ended")).toBe("ended");
});

test("a source of every node is as its worst node is", () => {
  expect(on("every-node", "running", "running")).toBe("running");
  expect(on("every-node", "running", "starting")).toBe("starting");
  expect(on("every-node", "running", "failing")).toBe("failing");
});

test("what the nodes count is added up by source", () => {
  const said: SourceOnNode = {
    name: "redis-pubsub",
    node: "a",
    guarantee: "at-most-once",
    runs_on: "one-node",
    state: "standby",
    since: "2026-01-02T03:04:05Z",
    detail: null,
    published: 3,
    dropped: 1,
    dead: 0,
    restarts: 0,
  };
  const other = { ...said, node: "b", state: "running" as const, published: 4, dead: 2 };
  const postgres = { ...said, name: "postgres", guarantee: "at-least-once" as const };
  expect(together([said, other, postgres])).toMatchObject([
    { name: "postgres", guarantee: "at-least-once", health: "starting", published: 3 },
    { name: "redis-pubsub", health: "running", published: 7, dropped: 2, dead: 2, nodes: [said, other] },
  ]);
  expect(together([])).toEqual([]);
});
