import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTable } from "@tanstack/react-table";
import { FilterX, PlugZap, Radio } from "lucide-react";
import { useMemo, useState } from "react";

import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/native-select";
import { ApiError, listConnections } from "@/shared/api/client";
import type { Connection, ConnectionPage, Transport } from "@/shared/api/types";
import { DataTable } from "@/shared/data-table";
import { clock, count, plural } from "@/shared/format";
import { Link, navigate, useLocation } from "@/shared/location";
import { useNodes } from "@/shared/nodes";
import { Pager, pageSize } from "@/shared/pager";
import { interval, OFTEN } from "@/shared/query";
import { SearchInput } from "@/shared/search-input";
import { CommandLine, EmptyState, ErrorState, LoadingState, StaleNotice } from "@/shared/states";
import { features } from "@/shared/table-features";

import { CloseDialog } from "./close-dialog";
import { columnClasses, makeColumns } from "./columns";
import { ConnectionDetails } from "./connection-details";
import { onward, readTrail, type Trail } from "./paging";
import { isTransport, TRANSPORTS } from "./transports";

const NO_CONNECTIONS: Connection[] = [];

interface Filters {
  topic: string | null;
  node: string | null;
  transport: Transport | null;
}

function useConnections(filters: Filters, limit: number, cursor: string | null) {
  return useQuery<ConnectionPage>({
    queryKey: ["connections", filters, limit, cursor],
    queryFn: ({ signal }) => {
      const { topic, node, transport } = filters;
      return listConnections({ limit, cursor, topic, node, transport }, signal);
    },
    refetchInterval: interval(OFTEN),
    placeholderData: keepPreviousData,
  });
}

export function ConnectionsPage() {
  const { parameters, state } = useLocation();
  const transport = parameters.get("transport");
  const filters: Filters = {
    topic: parameters.get("topic"),
    node: parameters.get("node"),
    transport: isTransport(transport) ? transport : null,
  };
  const limit = pageSize(parameters.get("limit"));
  const cursor = parameters.get("cursor");
  const trail = useMemo(() => readTrail(state), [state]);
  const { data, error, isPending, isPlaceholderData, refetch, dataUpdatedAt } = useConnections(filters, limit, cursor);
  const items = data?.items ?? NO_CONNECTIONS;
  const [shown, setShown] = useState<string | null>(null);
  const [closing, setClosing] = useState<Connection | null>(null);
  const [told, setTold] = useState("");

  const columns = useMemo(() => makeColumns({ onShow: ({ id }) => setShown(id), onClose: setClosing }), []);
  const table = useTable({ features, columns, data: items, getRowId: ({ id }) => id, manualPagination: true });

  const filter = (change: Partial<Record<keyof Filters | "limit", string | null>>, replace = false) =>
    navigate({ view: "connections", ...filters, limit: parameters.get("limit"), ...change }, { replace });
  const toPage = (to: string | null, along: Trail | null) =>
    navigate({ view: "connections", ...filters, limit: parameters.get("limit"), cursor: to }, { state: along });
  const filtered = Object.values(filters).some((value) => value !== null);
  const back = trail?.cursors.at(-1);
  const passed = cursor === null ? 0 : trail?.cursors.length;

  return (
    <section aria-labelledby="connections-title" className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <h1 id="connections-title" className="mr-auto text-lg font-semibold">
          Connections
        </h1>
        <SearchInput
          label="Topic (its whole name)"
          value={filters.topic ?? ""}
          onSearch={(topic) => filter({ topic }, true)}
          className="w-full sm:w-64"
        />
        <NodeFilter value={filters.node} onChange={(node) => filter({ node })} />
        <NativeSelect
          aria-label="Transport"
          value={filters.transport ?? ""}
          onChange={(event) => filter({ transport: event.target.value })}
        >
          <option value="">All transports</option>
          {Object.entries(TRANSPORTS).map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </NativeSelect>
        {filters.topic && (
          <Button asChild>
            <Link to={{ view: "tail", topic: filters.topic }}>
              <Radio aria-hidden />
              Tail
            </Link>
          </Button>
        )}
      </div>
      <div className="rounded-lg border border-border bg-surface">
        {error && data && <StaleNotice error={error} since={clock(dataUpdatedAt)} />}
        {isPending ? (
          <LoadingState label="Loading connections" />
        ) : !data ? (
          <ErrorState error={error} onRetry={() => void refetch()}>
            {error instanceof ApiError && error.status === 400 && (
              <Button onClick={() => navigate({ view: "connections" })}>Show the first page of all</Button>
            )}
          </ErrorState>
        ) : items.length === 0 ? (
          <NoConnections filtered={filtered} later={cursor !== null} />
        ) : (
          <DataTable
            table={table}
            label="Connections"
            columnClasses={columnClasses}
            page={JSON.stringify([filters, limit, cursor])}
            busy={isPlaceholderData}
          />
        )}
      </div>
      {data && (data.total > 0 || cursor !== null) && (
        <Pager
          summary={
            plural(data.total, filtered ? "matching connection" : "connection") +
            (passed === undefined
              ? ""
              : `, page ${count(passed + 1)} of ${count(Math.max(passed + 1, Math.ceil(data.total / limit)))}`)
          }
          size={limit}
          onSize={(size) => filter({ limit: size })}
          onFirst={cursor === null ? null : () => toPage(null, null)}
          onPrevious={
            cursor === null || back === undefined
              ? null
              : () => toPage(back, trail && back !== null ? { cursors: trail.cursors.slice(0, -1) } : null)
          }
          onNext={data.next === null ? null : () => toPage(data.next, onward(trail, cursor))}
        />
      )}
      <ConnectionDetails
        connection={items.find(({ id }) => id === shown) ?? null}
        onOpenChange={(open) => {
          if (!open) setShown(null);
        }}
        onClose={(connection) => {
          setShown(null);
          setClosing(connection);
        }}
      />
      <CloseDialog
        connection={closing}
        onDone={(closed) => {
          if (closed && closing) setTold(`Connection ${closing.id} is closed.`);
          setClosing(null);
        }}
      />
      <p role="status" className={told ? "text-sm text-muted-foreground" : "sr-only"}>
        {told}
      </p>
    </section>
  );
}

function NodeFilter({ value, onChange }: { value: string | null; onChange: (node: string) => void }) {
  const { data } = useNodes();
  const names = data?.live.map(({ name }) => name) ?? [];
  if (value !== null && !names.includes(value)) names.push(value);
  return (
    <NativeSelect
      aria-label="Node"
      value={value ?? ""}
      onChange={(event) => onChange(event.target.value)}
      className="max-w-52"
    >
      <option value="">All nodes</option>
      {names.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </NativeSelect>
  );
}

function NoConnections({ filtered, later }: { filtered: boolean; later: boolean }) {
  if (filtered || later) {
    return (
      <EmptyState icon={FilterX} title={later ? "This page is empty now" : "No connection matches"}>
        <p>
          {later
            ? "The connections that were here have gone."
            : "Nobody is connected with this topic, node and transport now."}
        </p>
        <Button onClick={() => navigate({ view: "connections" })}>Show all connections</Button>
      </EmptyState>
    );
  }
  return (
    <EmptyState icon={PlugZap} title="Nobody is connected now">
      <p>Connect over SSE, and the connection appears here:</p>
      <CommandLine command={`curl -N '${window.location.origin}/sse?topic=news'`} label="Copy the command" />
    </EmptyState>
  );
}
