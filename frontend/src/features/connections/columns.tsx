import { TriangleAlert, X } from "lucide-react";

import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import type { Connection } from "@/shared/api/types";
import { ago, count, plural, size } from "@/shared/format";
import { useNow } from "@/shared/now";
import type { Column } from "@/shared/table-features";
import { visibleLine } from "@/shared/visible";

import { pace } from "./slow";
import { TRANSPORTS } from "./transports";

export const columnClasses: Readonly<Record<string, string>> = {
  id: "whitespace-nowrap",
  topics: "w-full max-w-0 min-w-24 sm:min-w-32",
  transport: "hidden sm:table-cell",
  node: "hidden lg:table-cell",
  client: "hidden md:table-cell max-w-56",
  age: "hidden sm:table-cell text-right tabular-nums whitespace-nowrap",
  sent: "hidden md:table-cell text-right tabular-nums",
  pending: "text-right tabular-nums whitespace-nowrap",
  actions: "text-right",
};

function short(id: string): string {
  return id.length > 10 ? `${id.slice(0, 10)}…` : id;
}

function Age({ since }: { since: string }) {
  const now = useNow();
  return <span title={since}>{ago(since, now)}</span>;
}

/** What waits for a client: bytes, since events may be of any size, and for how long when it is slow. */
function Pending({ connection }: { connection: Connection }) {
  const now = useNow();
  const { pending, pending_bytes: bytes, behind_since: since } = connection;
  switch (pace(connection, now)) {
    case "unknown":
      return (
        <span className="text-muted-foreground" title={`Not known: ${connection.node} does not answer`}>
          ?
        </span>
      );
    case "idle":
      return <span className="text-muted-foreground">0</span>;
    case "behind":
      return <span title={`${plural(pending ?? 0, "event")} not yet written`}>{size(bytes ?? 0)}</span>;
    case "slow":
      return (
        <span className="inline-flex flex-col items-end leading-tight">
          <Badge
            variant="danger"
            title="A slow reader: past the bound it is closed, or loses events, as GATEWAY_SLOW_READER says"
          >
            <TriangleAlert aria-hidden />
            slow<span className="hidden sm:inline"> for {ago(since ?? "", now)}</span>
          </Badge>
          <span className="text-xs text-muted-foreground" title={`${plural(pending ?? 0, "event")} not yet written`}>
            {size(bytes ?? 0)}
          </span>
        </span>
      );
  }
}

interface Actions {
  onShow: (connection: Connection) => void;
  onClose: (connection: Connection) => void;
}

export function makeColumns({ onShow, onClose }: Actions): Column<Connection>[] {
  const columns: Column<Connection>[] = [
    {
      id: "id",
      header: "Connection",
      cell: ({ row: { original: connection } }) => (
        <button
          type="button"
          title={connection.id}
          aria-label={`${short(connection.id)} details`}
          onClick={() => onShow(connection)}
          className="rounded font-mono text-[13px] hover:text-primary hover:underline"
        >
          {short(connection.id)}
        </button>
      ),
    },
    {
      id: "topics",
      header: "Topics",
      cell: ({ row: { original: connection } }) => (
        <span className="flex items-center gap-1.5" title={connection.topics.slice(0, 20).join(", ")}>
          {connection.topics.length === 0 ? (
            <span className="text-muted-foreground">none now</span>
          ) : (
            <span className="truncate font-mono text-[13px]">{connection.topics[0]}</span>
          )}
          {connection.topics.length > 1 && (
            <button type="button" className="rounded" onClick={() => onShow(connection)}>
              <Badge>+{connection.topics.length - 1} more</Badge>
            </button>
          )}
        </span>
      ),
    },
    {
      id: "transport",
      header: "Transport",
      cell: ({ row: { original: connection } }) => (
        <Badge variant={connection.transport === "sse" ? "accent" : "info"}>{TRANSPORTS[connection.transport]}</Badge>
      ),
    },
    {
      id: "node",
      header: "Node",
      cell: ({ row: { original: connection } }) => <span className="whitespace-nowrap">{connection.node}</span>,
    },
    {
      id: "client",
      header: "Client",
      cell: ({ row: { original: connection } }) => (
        <span className="flex flex-col leading-tight">
          <span className="truncate">{connection.client || "unknown"}</span>
          <bdi className="truncate text-xs text-muted-foreground" title={visibleLine(connection.user_agent)}>
            {visibleLine(connection.user_agent)}
          </bdi>
        </span>
      ),
    },
    {
      id: "age",
      header: "Age",
      cell: ({ row: { original: connection } }) => <Age since={connection.since} />,
    },
    {
      id: "sent",
      header: "Sent",
      cell: ({ row: { original: connection } }) => (connection.sent === null ? "?" : count(connection.sent)),
    },
    {
      id: "pending",
      header: "Pending",
      cell: ({ row: { original: connection } }) => <Pending connection={connection} />,
    },
    {
      id: "actions",
      header: () => <span className="sr-only">Close</span>,
      cell: ({ row: { original: connection } }) => (
        <Button
          variant="ghost"
          size="iconSmall"
          aria-label={`Close connection ${connection.id}`}
          title="Close"
          className="text-muted-foreground hover:text-danger"
          onClick={() => onClose(connection)}
        >
          <X />
        </Button>
      ),
    },
  ];
  return columns.map((column) => ({ ...column, enableSorting: false }));
}
