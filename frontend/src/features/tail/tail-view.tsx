import { ArrowDownToLine, Download, Pause, Play, Radio, Trash2 } from "lucide-react";
import { useDeferredValue, useMemo, useState } from "react";

import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/native-select";
import { CopyButton } from "@/shared/copy-button";
import { count, plural } from "@/shared/format";
import { Link, navigate } from "@/shared/location";
import { SearchInput } from "@/shared/search-input";
import { CommandLine, EmptyState } from "@/shared/states";

import type { View } from "./buffer";
import { download } from "./download";
import { matches, toJsonLine, type Entry } from "./entries";
import { EntryDetails } from "./entry-details";
import { EntryList } from "./entry-list";
import { LAST_CHOICES } from "./last";
import { StatusBadge } from "./status-badge";
import { useTail } from "./use-tail";

type Kinds = "all" | "published" | "dropped";

/** The entries that match. What was found for an entry is kept while the filter stays: entries never change. */
function useFiltered(entries: readonly Entry[], text: string, kinds: Kinds): readonly Entry[] {
  const needle = text.toLowerCase();
  const known = useMemo(() => ({ needle, found: new WeakMap<Entry, boolean>() }), [needle]);
  return useMemo(() => {
    if (known.needle === "" && kinds === "all") return entries;
    return entries.filter((entry) => {
      if (kinds !== "all" && entry.kind !== kinds && entry.kind !== "notice") return false;
      if (known.needle === "") return true;
      let found = known.found.get(entry);
      if (found === undefined) {
        found = matches(entry, known.needle);
        known.found.set(entry, found);
      }
      return found;
    });
  }, [entries, known, kinds]);
}

/** The tail of one topic, which begins with the last events that it keeps. */
export function TailView({ topic, last }: { topic: string; last: number }) {
  const { view, status, clear, again } = useTail(topic, last);
  const [frozen, setFrozen] = useState<View | null>(null);
  const [text, setText] = useState("");
  const [kinds, setKinds] = useState<Kinds>("all");
  const [selected, setSelected] = useState<Entry | null>(null);
  const shown = useFiltered((frozen ?? view).entries, useDeferredValue(text), kinds);
  const events = useMemo(() => shown.filter((entry) => entry.kind !== "notice").length, [shown]);
  const fresh = frozen ? view.received - frozen.received : 0;
  const pause = () => setFrozen((before) => before ?? view);
  const resume = () => setFrozen(null);

  return (
    <section aria-labelledby="tail-title" className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <h1 id="tail-title" className="min-w-0 text-lg font-semibold">
          <span className="sr-only">Tail of </span>
          <span className="font-mono break-all">{topic}</span>
        </h1>
        <StatusBadge status={status} />
        <span className="ml-auto flex gap-2">
          <Button asChild size="small">
            <Link to={{ view: "connections", topic }}>Connections</Link>
          </Button>
          <Button asChild size="small">
            <Link to={{ view: "tail" }}>Another topic</Link>
          </Button>
        </span>
      </div>
      <div className="flex flex-wrap items-center gap-2">
        {frozen ? (
          <Button variant="primary" size="small" onClick={resume}>
            <Play aria-hidden />
            Resume{fresh > 0 && ` (${count(fresh)} new)`}
          </Button>
        ) : (
          <Button size="small" onClick={pause}>
            <Pause aria-hidden />
            Pause
          </Button>
        )}
        <Button
          size="small"
          disabled={view.entries.length === 0}
          onClick={() => {
            clear();
            setSelected(null);
            resume();
          }}
        >
          <Trash2 aria-hidden />
          Clear
        </Button>
        <CopyButton
          label="Copy what is shown, as NDJSON"
          disabled={shown.length === 0}
          text={() => shown.map(toJsonLine).join("\n")}
        >
          Copy
        </CopyButton>
        <Button size="small" disabled={shown.length === 0} onClick={() => download(topic, shown)}>
          <Download aria-hidden />
          <span className="hidden sm:inline">NDJSON</span>
          <span className="sr-only">Download what is shown</span>
        </Button>
        <span className="ml-auto flex w-full gap-2 sm:w-auto">
          <NativeSelect
            aria-label="Begin with"
            value={last}
            onChange={(event) =>
              navigate({ view: "tail", topic, last: event.target.value.replace(/^0$/, "") }, { replace: true })
            }
          >
            {LAST_CHOICES.map((choice) => (
              <option key={choice} value={choice}>
                {choice > 0 ? `Last ${choice} kept` : "From now on"}
              </option>
            ))}
          </NativeSelect>
          <SearchInput label="Filter" value={text} onSearch={setText} className="flex-1 sm:w-64" />
          <NativeSelect
            aria-label="Kind of event"
            value={kinds}
            onChange={(event) => setKinds(event.target.value as Kinds)}
          >
            <option value="all">All</option>
            <option value="published">Published</option>
            <option value="dropped">Dropped</option>
          </NativeSelect>
        </span>
      </div>
      <div className="flex h-[calc(100dvh-18.5rem)] min-h-80 flex-col overflow-hidden rounded-lg border border-border bg-surface lg:flex-row">
        <div className="relative min-h-0 min-w-0 flex-1">
          {shown.length === 0 ? (
            <NoEntries
              topic={topic}
              refused={status.state === "refused" ? status.why : null}
              onAgain={again}
              filtered={view.entries.length > 0}
            />
          ) : (
            <EntryList
              entries={shown}
              selected={selected}
              following={!frozen}
              onSelect={(entry) => {
                pause();
                setSelected(entry);
              }}
              onLeaveEnd={pause}
            />
          )}
          {frozen && fresh > 0 && (
            <Button
              variant="primary"
              size="small"
              className="absolute right-4 bottom-3 shadow-lg"
              onClick={resume}
              aria-hidden
              tabIndex={-1}
            >
              <ArrowDownToLine />
              {count(fresh)} new
            </Button>
          )}
        </div>
        {selected && (
          <div className="h-3/5 min-h-0 shrink-0 border-t border-border lg:h-auto lg:w-[26rem] lg:border-t-0 lg:border-l xl:w-[34rem]">
            <EntryDetails entry={selected} onClose={() => setSelected(null)} />
          </div>
        )}
      </div>
      <p className="text-sm text-muted-foreground tabular-nums">
        {plural(events, "event")} shown, {count(view.received)} received
        {view.forgotten > 0 && `. The oldest ${count(view.forgotten)} were let go to bound memory`}
        {frozen && ". Paused: new events are kept meanwhile"}.
      </p>
    </section>
  );
}

interface NoEntriesProps {
  topic: string;
  /** Why the gateway refused the tail, if it did. */
  refused: string | null;
  onAgain: () => void;
  filtered: boolean;
}

function NoEntries({ topic, refused, onAgain, filtered }: NoEntriesProps) {
  if (refused !== null) {
    return (
      <EmptyState icon={Radio} title="The gateway does not tail this topic">
        <p role="alert">{refused}</p>
        <Button onClick={onAgain}>Try again</Button>
      </EmptyState>
    );
  }
  if (filtered) {
    return (
      <EmptyState icon={Radio} title="No event matches">
        <p>Change the filter to see the others.</p>
      </EmptyState>
    );
  }
  const quoted = topic.replaceAll("'", "'\\''");
  return (
    <EmptyState icon={Radio} title="Waiting for events">
      <p>Nothing has been published to this topic since the tail began. Publish an event, and it appears here:</p>
      <CommandLine
        label="Copy the command"
        command={`curl -H "authorization: Bearer $GATEWAY_API_KEY" -H 'x-sse-topic: ${quoted}' -H 'x-sse-id: 1' -d Hello ${window.location.origin}/publish`}
      />
    </EmptyState>
  );
}
