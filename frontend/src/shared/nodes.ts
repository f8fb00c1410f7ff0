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
  /** When the gateway said so, in milliseconds since the epoch. */
  at: number;
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
    at: now,
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

const SILENT_AFTER_MS = 4000;

/**
 * How a node was at a time, that of the answer: by its own word and by how long it had given no sign of life. One that
 * answers has just given it.
 */
export function health(node: Pick<GatewayNode, "draining" | "last_seen">, at: number): Health {
  if (at - Date.parse(node.last_seen) > SILENT_AFTER_MS) return "silent";
  return node.draining ? "draining" : "healthy";
}
