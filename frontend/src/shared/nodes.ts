import { useQuery, useQueryClient } from "@tanstack/react-query";

import { listNodes, MAX_PAGE } from "./api/client";
import type { GatewayNode } from "./api/types";
import { gatewayTime } from "./now";
import { interval, SELDOM } from "./query";

/** How long a node that is listed no more is still told of. */
export const TOLD_FOR_MS = 600_000;

/** A node that was listed before and is not now. */
export interface GoneNode {
  name: string;
  /** When it was first missed, in milliseconds since the epoch. */
  at: number;
}

export interface Nodes {
  /** Those that live, by name. */
  live: readonly GatewayNode[];
  /** Those that this page has seen and that are gone, the last one first. */
  gone: readonly GoneNode[];
}

/** The nodes now, with what this page still knows of those before. */
export function remember(before: Nodes | undefined, live: readonly GatewayNode[], now: number): Nodes {
  const names = new Set(live.map(({ name }) => name));
  const missed = (before?.live ?? []).map(({ name }) => ({ name, at: now }));
  return {
    live,
    gone: [...missed, ...(before?.gone ?? [])].filter(({ name, at }) => !names.has(name) && now - at < TOLD_FOR_MS),
  };
}

export function useNodes() {
  const queries = useQueryClient();
  return useQuery({
    queryKey: ["nodes"],
    queryFn: async ({ signal }): Promise<Nodes> => {
      const { items } = await listNodes({ limit: MAX_PAGE }, signal);
      return remember(queries.getQueryData<Nodes>(["nodes"]), items, gatewayTime());
    },
    refetchInterval: interval(SELDOM),
  });
}

export type Health = "healthy" | "draining" | "silent";

/** How a node is: what it says itself counts only while it gives signs of life. */
export function health(node: Pick<GatewayNode, "draining" | "silent">): Health {
  if (node.silent) return "silent";
  return node.draining ? "draining" : "healthy";
}
