import { useQuery } from "@tanstack/react-query";

import { listNodes, MAX_PAGE } from "./api/client";
import type { GatewayNode } from "./api/types";
import { interval, SELDOM } from "./query";

/** The nodes, by name. */
export function useNodes() {
  return useQuery({
    queryKey: ["nodes"],
    queryFn: async ({ signal }): Promise<GatewayNode[]> => (await listNodes({ limit: MAX_PAGE }, signal)).items,
    refetchInterval: interval(SELDOM),
  });
}

export type Health = "healthy" | "draining" | "silent";

const SILENT_AFTER_MS = 15_000;

/** How a node is, by its own word and by how long it has given no sign of life. */
export function health(node: Pick<GatewayNode, "draining" | "last_seen">, now: number): Health {
  if (now - Date.parse(node.last_seen) > SILENT_AFTER_MS) return "silent";
  return node.draining ? "draining" : "healthy";
}
