import { Server } from "lucide-react";

import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Popover, PopoverContent, PopoverTrigger } from "@/components/ui/popover";
import type { GatewayNode } from "@/shared/api/types";
import { cn } from "@/shared/cn";
import { ago, count, duration, plural } from "@/shared/format";
import { Link } from "@/shared/location";
import { health, useNodes, type GoneNode, type Health, type Nodes } from "@/shared/nodes";
import { useNow } from "@/shared/now";

const DOTS: Readonly<Record<Health, string>> = { healthy: "bg-primary", draining: "bg-warning", silent: "bg-danger" };
const BADGES = { healthy: "accent", draining: "warning", silent: "danger" } as const;
const NO_NODES: Nodes = { live: [], gone: [] };

/** The nodes and how they are. */
export function NodesMenu() {
  const { data, error } = useNodes();
  const { live, gone } = data ?? NO_NODES;
  const states = live.map(health);
  const worst =
    error || states.includes("silent")
      ? "silent"
      : gone.length > 0 || states.includes("draining")
        ? "draining"
        : "healthy";
  return (
    <Popover>
      <PopoverTrigger asChild>
        <Button variant="ghost" size="small">
          <Server aria-hidden />
          <span className="tabular-nums">
            {data ? plural(live.length, "node") : "Nodes"}
            {gone.length > 0 && `, ${count(gone.length)} gone`}
          </span>
          <span aria-hidden className={cn("size-2 rounded-full", DOTS[worst])} />
          <span className="sr-only">{worst === "healthy" ? "all healthy" : "not all healthy"}</span>
        </Button>
      </PopoverTrigger>
      <PopoverContent
        align="end"
        aria-label="Nodes"
        className="max-h-[70dvh] w-[min(26rem,calc(100vw-1rem))] overflow-y-auto"
      >
        <h2 className="mb-2 text-sm font-semibold">Nodes</h2>
        {error && (
          <p role="alert" className="mb-2 text-sm text-danger">
            {error.message}
          </p>
        )}
        <ul className="flex flex-col gap-2">
          {gone.map((node) => (
            <GoneItem key={node.name} node={node} />
          ))}
          {live.map((node) => (
            <NodeItem key={node.name} node={node} state={health(node)} />
          ))}
        </ul>
      </PopoverContent>
    </Popover>
  );
}

function NodeItem({ node, state }: { node: GatewayNode; state: Health }) {
  const now = useNow();
  const address = [node.host, node.port].filter((part) => part !== null && part !== "").join(", port ");
  return (
    <li className="rounded-md border border-border p-2.5 text-sm">
      <div className="flex items-center gap-2">
        <span aria-hidden className={cn("size-2 shrink-0 rounded-full", DOTS[state])} />
        <Link
          to={{ view: "connections", node: node.name }}
          className="truncate font-medium hover:underline"
          title={node.name}
        >
          {node.name}
        </Link>
        <Badge className="ml-auto" variant={BADGES[state]}>
          {state}
        </Badge>
      </div>
      <p className="mt-1 text-muted-foreground">
        {plural(node.connections, "connection")} · {plural(node.topics, "topic")} · up {ago(node.since, now)}
      </p>
      <p className="break-words text-muted-foreground">
        {address || "no address advertised"} · version {node.version}
        {state === "silent" && ` · seen ${ago(node.last_seen, now)} ago`}
      </p>
    </li>
  );
}

function GoneItem({ node }: { node: GoneNode }) {
  const now = useNow();
  return (
    <li className="rounded-md border border-border p-2.5 text-sm">
      <div className="flex items-center gap-2">
        <span aria-hidden className={cn("size-2 shrink-0 rounded-full", DOTS.draining)} />
        <span className="truncate font-medium" title={node.name}>
          {node.name}
        </span>
        <Badge className="ml-auto" variant="warning">
          gone
        </Badge>
      </div>
      <p className="mt-1 text-muted-foreground">
        Not listed any more for {duration(now - node.at)}: it was shut down, or was lost.
      </p>
    </li>
  );
}
