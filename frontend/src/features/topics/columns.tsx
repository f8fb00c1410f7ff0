import { History, Radio, Users } from "lucide-react";

import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { ago, count, rate } from "@/shared/format";
import { Link } from "@/shared/location";
import { useNow } from "@/shared/now";
import { Sparkline } from "@/shared/sparkline";
import type { Column } from "@/shared/table-features";

import { TREND_LENGTH } from "./rates";
import type { TopicRow } from "./use-topics";

function LastEvent({ topic }: { topic: TopicRow }) {
  const now = useNow();
  if (!topic.last_event) return <span className="text-muted-foreground">none yet</span>;
  return (
    <span
      className="flex items-baseline gap-2 whitespace-nowrap"
      title={`${topic.last_event.id} at ${topic.last_event.time}`}
    >
      <span className="w-16 text-muted-foreground tabular-nums">{ago(topic.last_event.time, now)} ago</span>
      <span className="max-w-32 truncate font-mono text-[13px]">{topic.last_event.id}</span>
    </span>
  );
}

/** Events that the topic keeps, and the way to the newest of them. */
function Kept({ topic }: { topic: TopicRow }) {
  if (topic.kept === null) return "–";
  return (
    <Link
      to={{ view: "tail", topic: topic.name, last: "100" }}
      title="Tail, beginning with the last 100 kept events"
      className="inline-flex items-center gap-1 hover:text-primary hover:underline"
    >
      <History aria-hidden className="size-3.5 text-muted-foreground" />
      {count(topic.kept)}
    </Link>
  );
}

export const columnClasses: Readonly<Record<string, string>> = {
  name: "w-full max-w-0 min-w-28",
  connections: "text-right tabular-nums",
  nodes: "hidden lg:table-cell",
  events: "hidden md:table-cell text-right tabular-nums",
  kept: "hidden md:table-cell text-right tabular-nums",
  rate: "text-right tabular-nums",
  trend: "hidden sm:table-cell pl-0",
  last_event: "hidden md:table-cell w-56",
  actions: "text-right",
};

export const columns: Column<TopicRow>[] = [
  {
    id: "name",
    accessorFn: (topic) => topic.name,
    header: "Topic",
    sortFn: "basic",
    cell: ({ row: { original: topic } }) => (
      <span className="flex items-baseline gap-2">
        <Link
          to={{ view: "connections", topic: topic.name }}
          title={topic.name}
          className="truncate font-mono text-[13px] hover:text-primary hover:underline"
        >
          {topic.name}
        </Link>
        {topic.mode !== "unicast" && <Badge className="hidden sm:inline-flex">{topic.mode}</Badge>}
      </span>
    ),
  },
  {
    id: "connections",
    accessorFn: (topic) => topic.connections,
    header: "Connections",
    sortFn: "basic",
    sortDescFirst: true,
    cell: ({ row: { original: topic } }) => count(topic.connections),
  },
  {
    id: "nodes",
    header: "Nodes",
    enableSorting: false,
    accessorFn: (topic) => topic.nodes.length,
    cell: ({ row: { original: topic } }) =>
      topic.nodes.length === 0 ? (
        "–"
      ) : (
        <span className="flex gap-1" title={topic.nodes.join(", ")}>
          <Badge className="max-w-36">
            <span className="truncate">{topic.nodes[0]}</span>
          </Badge>
          {topic.nodes.length > 1 && <Badge>+{topic.nodes.length - 1}</Badge>}
        </span>
      ),
  },
  {
    id: "events",
    accessorFn: (topic) => topic.events,
    header: "Events",
    sortFn: "basic",
    sortDescFirst: true,
    cell: ({ row: { original: topic } }) => count(topic.events),
  },
  {
    id: "kept",
    accessorFn: (topic) => topic.kept ?? -1,
    header: "Kept",
    sortFn: "basic",
    sortDescFirst: true,
    cell: ({ row: { original: topic } }) => <Kept topic={topic} />,
  },
  {
    id: "rate",
    accessorFn: (topic) => topic.rate ?? -1,
    header: "Events/s",
    sortFn: "basic",
    sortDescFirst: true,
    cell: ({ row: { original: topic } }) => (topic.rate === null ? "–" : rate(topic.rate)),
  },
  {
    id: "trend",
    header: () => <span className="sr-only">Events per second over time</span>,
    enableSorting: false,
    accessorFn: () => null,
    cell: ({ row: { original: topic } }) => (
      <Sparkline values={topic.trend} length={TREND_LENGTH} className="text-primary" />
    ),
  },
  {
    id: "last_event",
    accessorFn: (topic) => topic.last_event?.time ?? "",
    header: "Last event",
    sortFn: "basic",
    sortDescFirst: true,
    cell: ({ row: { original: topic } }) => <LastEvent topic={topic} />,
  },
  {
    id: "actions",
    header: () => <span className="sr-only">Go to</span>,
    enableSorting: false,
    accessorFn: () => null,
    cell: ({ row: { original: topic } }) => (
      <span className="inline-flex gap-1">
        <Button asChild variant="ghost" size="iconSmall" className="hidden sm:inline-flex">
          <Link
            to={{ view: "connections", topic: topic.name }}
            aria-label={`Connections of ${topic.name}`}
            title="Connections"
          >
            <Users />
          </Link>
        </Button>
        <Button asChild variant="ghost" size="iconSmall">
          <Link to={{ view: "tail", topic: topic.name }} aria-label={`Tail of ${topic.name}`} title="Tail">
            <Radio />
          </Link>
        </Button>
      </span>
    ),
  },
];
