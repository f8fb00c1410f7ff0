import { Cable } from "lucide-react";

import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Popover, PopoverContent, PopoverTrigger } from "@/components/ui/popover";
import type { SourceOnNode } from "@/shared/api/types";
import { cn } from "@/shared/cn";
import { ago, count, plural } from "@/shared/format";
import { useNow } from "@/shared/now";
import { useSources, type Source, type SourceHealth } from "@/shared/sources";

const DOTS: Readonly<Record<SourceHealth, string>> = {
  running: "bg-primary",
  starting: "bg-warning",
  failing: "bg-danger",
  ended: "bg-muted-foreground",
};
const BADGES = { running: "accent", starting: "warning", failing: "danger", ended: "neutral" } as const;
const WORDS: Readonly<Record<SourceHealth, string>> = {
  running: "all running",
  starting: "not all running",
  failing: "not all running",
  ended: "all ended",
};

/** The message sources and how they are; nothing on a gateway that has none. */
export function SourcesMenu() {
  const { data, error } = useSources();
  if (!data || data.length === 0) return null;
  const states = new Set(data.map(({ health }) => health));
  const worst =
    error || states.has("failing")
      ? "failing"
      : states.has("starting")
        ? "starting"
        : states.has("running")
          ? "running"
          : "ended";
  const title = plural(data.length, "source");
  return (
    <Popover>
      <PopoverTrigger asChild>
        <Button variant="ghost" size="small" aria-label={`${title}, ${WORDS[worst]}`} title={title}>
          <Cable aria-hidden />
          <span className="tabular-nums">
            {count(data.length)}
            <span className="hidden sm:inline">{data.length === 1 ? " source" : " sources"}</span>
          </span>
          <span aria-hidden className={cn("size-2 rounded-full", DOTS[worst])} />
        </Button>
      </PopoverTrigger>
      <PopoverContent
        align="end"
        aria-label="Message sources"
        className="max-h-[70dvh] w-[min(26rem,calc(100vw-1rem))] overflow-y-auto"
      >
        <h2 className="mb-2 text-sm font-semibold">Message sources</h2>
        {error && (
          <p role="alert" className="mb-2 text-sm text-danger">
            {error.message}
          </p>
        )}
        <ul className="flex flex-col gap-2">
          {data.map((source) => (
            <SourceItem key={source.name} source={source} />
          ))}
        </ul>
      </PopoverContent>
    </Popover>
  );
}

function SourceItem({ source }: { source: Source }) {
  const { name, health, guarantee, published, dropped, dead, nodes } = source;
  return (
    <li className="rounded-md border border-border p-2.5 text-sm">
      <div className="flex items-center gap-2">
        <span aria-hidden className={cn("size-2 shrink-0 rounded-full", DOTS[health])} />
        <span className="truncate font-medium" title={name}>
          {name}
        </span>
        <Badge className="ml-auto" variant={BADGES[health]}>
          {health}
        </Badge>
      </div>
      <p className="mt-1 text-muted-foreground">
        {guarantee.replaceAll("-", " ")} · {plural(published, "event")} · {count(dropped)} dropped ·{" "}
        <span className={cn(dead > 0 && "text-danger")} title="Messages that are no events, or failed each time">
          {count(dead)} dead
        </span>
      </p>
      <ul aria-label={`${name} on each node`} className="mt-1 flex flex-col gap-1">
        {nodes.map((said) => (
          <OnNode key={said.node} said={said} />
        ))}
      </ul>
    </li>
  );
}

function OnNode({ said: { node, state, since, detail, restarts } }: { said: SourceOnNode }) {
  const now = useNow();
  return (
    <li className="text-muted-foreground">
      <div className="flex items-center gap-2">
        <span className="truncate" title={node}>
          {node}
        </span>
        <span className="ml-auto whitespace-nowrap">
          {restarts > 0 && `${plural(restarts, "restart")} · `}
          {state} for {ago(since, now)}
        </span>
      </div>
      {detail && <p className="break-words text-danger">{detail}</p>}
    </li>
  );
}
