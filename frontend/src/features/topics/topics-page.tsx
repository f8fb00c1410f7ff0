import { useTable, type SortingState } from "@tanstack/react-table";
import { Inbox, SearchX } from "lucide-react";
import { useMemo } from "react";

import { Button } from "@/components/ui/button";
import { DataTable } from "@/shared/data-table";
import { clock, count, plural } from "@/shared/format";
import { navigate, useLocation } from "@/shared/location";
import { Pager, pageSize } from "@/shared/pager";
import { SearchInput } from "@/shared/search-input";
import { CommandLine, EmptyState, ErrorState, LoadingState, StaleNotice } from "@/shared/states";
import { features } from "@/shared/table-features";

import { columnClasses, columns } from "./columns";
import { MAX_TOPICS, useTopics, type TopicList } from "./use-topics";

const EMPTY: TopicList = { rows: [], total: 0 };
const SORTABLE = new Set(columns.filter((column) => column.enableSorting !== false).map((column) => column.id));

function readSorting(text: string | null): SortingState {
  const id = text?.replace(/^-/, "") ?? "";
  return text && SORTABLE.has(id) ? [{ id, desc: text.startsWith("-") }] : [{ id: "name", desc: false }];
}

function writeSorting([first]: SortingState): string | null {
  if (!first || (first.id === "name" && !first.desc)) return null;
  return `${first.desc ? "-" : ""}${first.id}`;
}

export function TopicsPage() {
  const { parameters } = useLocation();
  const q = parameters.get("q") ?? "";
  const sort = parameters.get("sort");
  const size = pageSize(parameters.get("limit"));
  const asked = Number(parameters.get("page") ?? "1");
  const { data, error, isPending, isPlaceholderData, refetch, dataUpdatedAt } = useTopics(q);
  const { rows, total } = data ?? EMPTY;
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const page = Math.min(Math.max(1, Number.isInteger(asked) ? asked : 1), pages);
  const sorting = useMemo(() => readSorting(sort), [sort]);

  const go = (change: Record<string, string | null>, replace = false) => {
    const now = { view: "topics", q, sort, limit: parameters.get("limit"), page: parameters.get("page") };
    navigate({ ...now, ...change }, { replace });
  };
  const table = useTable({
    features,
    columns,
    data: rows,
    getRowId: (topic) => topic.name,
    state: { sorting, pagination: { pageIndex: page - 1, pageSize: size } },
    enableSortingRemoval: false,
    autoResetPageIndex: false,
    onSortingChange: (update) => {
      go({ sort: writeSorting(typeof update === "function" ? update(sorting) : update), page: null }, true);
    },
  });
  const toPage = (number: number) => () => go({ page: number > 1 ? String(number) : null });

  return (
    <section aria-labelledby="topics-title" className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-3">
        <h1 id="topics-title" className="mr-auto text-lg font-semibold">
          Topics
        </h1>
        <SearchInput
          label="Search topics (case matters)"
          value={q}
          onSearch={(text) => go({ q: text, page: null }, true)}
          className="w-full sm:w-80"
        />
      </div>
      <div className="rounded-lg border border-border bg-surface">
        {error && data && <StaleNotice error={error} since={clock(dataUpdatedAt)} />}
        {isPending ? (
          <LoadingState label="Loading topics" />
        ) : !data ? (
          <ErrorState error={error} onRetry={() => void refetch()} />
        ) : rows.length === 0 ? (
          <NoTopics q={q} onClear={() => go({ q: null, page: null })} />
        ) : (
          <DataTable
            table={table}
            label="Topics"
            columnClasses={columnClasses}
            firstRow={(page - 1) * size}
            totalRows={rows.length}
            page={JSON.stringify([q, sort, size, page])}
            busy={isPlaceholderData}
          />
        )}
      </div>
      {rows.length > 0 && (
        <Pager
          summary={
            `${plural(total, "topic")}, page ${count(page)} of ${count(pages)}` +
            (total > rows.length ? `. The first ${count(MAX_TOPICS)} are sorted; search to narrow the list.` : "")
          }
          size={size}
          onSize={(limit) => go({ limit, page: null })}
          onFirst={page > 1 ? toPage(1) : null}
          onPrevious={page > 1 ? toPage(page - 1) : null}
          onNext={page < pages ? toPage(page + 1) : null}
        />
      )}
    </section>
  );
}

function NoTopics({ q, onClear }: { q: string; onClear: () => void }) {
  if (q) {
    return (
      <EmptyState icon={SearchX} title="No topic matches">
        <p>No topic’s name holds “{q}” now. Upper and lower case differ.</p>
        <Button onClick={onClear}>Clear the search</Button>
      </EmptyState>
    );
  }
  return (
    <EmptyState icon={Inbox} title="No topic exists now">
      <p>
        A topic exists while somebody is connected to it, or while it keeps events. Subscribe to one, and it appears
        here:
      </p>
      <CommandLine command={`curl -N '${window.location.origin}/sse?topic=news'`} label="Copy the command" />
    </EmptyState>
  );
}
