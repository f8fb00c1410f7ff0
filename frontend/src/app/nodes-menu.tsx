import { Server } from "lucide-react";

import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Popover, PopoverContent, PopoverTrigger } from "@/components/ui/popover";
import type { GatewayNode } from "@/shared/api/types";
import { cn } from "@/shared/cn";
import { ago, plural } from "@/shared/format";
import { Link } from "@/shared/location";
import { health, useNodes, type Health } from "@/shared/nodes";
import { useNow } from "@/shared/now";

const DOTS: Readonly<Record<Health, string>> = { healthy: "bg-primary", draining: "bg-warning", silent: "bg-danger" };

/** The nodes and how they are. */
export function NodesMenu() {
  const { data, error } = useNodes();
  const now = useNow();
  const nodes = data ?? [];
  const states = nodes.map((node) => health(node, now));
  const worst = error || states.includes("silent") ? "silent" : states.includes("draining") ? "draining" : "healthy";
  return (
    <Popover>
      <PopoverTrigger asChild>
        <Button variant="ghost" size="small">
          <Server aria-hidden />
          <span className="tabular-nums">{data ? plural(nodes.length, "node") : "Nodes"}</span>
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
          {nodes.map((node) => (
            <NodeItem key={node.name} node={node} now={now} />
          ))}
        </ul>
      </PopoverContent>
    </Popover>
  );
}

function NodeItem({ node, now }: { node: GatewayNode; now: number }) {
  const state = health(node, now);
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
        <Badge
          className="ml-auto"
          variant={state === "healthy" ? "accent" : state === "draining" ? "warning" : "danger"}
        >
          {state}
        </Badge>
      </div>
      <p className="mt-1 text-muted-foreground">
        {plural(node.connections, "connection")} · {plural(node.topics, "topic")} · up {ago(node.since, now)}
      </p>
      <p className="text-muted-foreground">
        {node.host || "no address advertised"}
        {node.port === null ? "" : `, port ${node.port}`} · version {node.version} · seen {ago(node.last_seen, now)} ago
      </p>
    </li>
  );
}
