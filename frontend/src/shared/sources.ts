import { useQuery } from "@tanstack/react-query";

import { listSources, MAX_PAGE } from "./api/client";
import type { SourceOnNode } from "./api/types";
import { interval, SELDOM } from "./query";

export type SourceHealth = "running" | "starting" | "failing" | "ended";

/** A message source, on all nodes together. */
export interface Source {
  name: string;
  guarantee: SourceOnNode["guarantee"];
  health: SourceHealth;
  published: number;
  dropped: number;
  dead: number;
  /** What each node says of it, by the node's name. */
  nodes: readonly SourceOnNode[];
}

/** What the nodes say, put together by source. */
export function together(said: readonly SourceOnNode[]): Source[] {
  const names = [...new Set(said.map(({ name }) => name))].sort();
  return names.map((name) => {
    const nodes = said.filter((one) => one.name === name);
    const sum = (counter: "published" | "dropped" | "dead") => nodes.reduce((total, one) => total + one[counter], 0);
    return {
      name,
      guarantee: nodes[0]?.guarantee ?? "at-most-once",
      health: sourceHealth(nodes),
      published: sum("published"),
      dropped: sum("dropped"),
      dead: sum("dead"),
      nodes,
    };
  });
}

/** How a source is. One node runs it while the others stand by, or every node runs it and is as good as the worst. */
export function sourceHealth(nodes: readonly Pick<SourceOnNode, "state" | "runs_on">[]): SourceHealth {
  const states = new Set(nodes.map(({ state }) => state));
  if (states.has("failing")) return "failing";
  const shared = nodes.some(({ runs_on }) => runs_on === "every-node");
  if (states.has("running") && !(shared && states.has("starting"))) return "running";
  // Where all stand by, the one that ran it has gone and the next is about to.
  return states.has("starting") || states.has("standby") ? "starting" : "ended";
}

export function useSources() {
  return useQuery({
    queryKey: ["sources"],
    queryFn: async ({ signal }) => together((await listSources({ limit: MAX_PAGE }, signal)).items),
    refetchInterval: interval(SELDOM),
  });
}
