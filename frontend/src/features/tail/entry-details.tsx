import { X } from "lucide-react";
import { useMemo, useState, type ReactNode } from "react";

import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/shared/copy-button";
import { count, plural } from "@/shared/format";
import { visibleLine, visibleText } from "@/shared/visible";

import { toJsonLine, type Dropped, type Entry, type Published } from "./entries";
import { parseJson } from "./json";
import { JsonTree } from "./json-tree";

/** Characters of an event's data that are drawn; a megabyte in one line would keep the browser busy for long. */
const MAX_SHOWN = 20_000;

/** One entry, whole. */
export function EntryDetails({ entry, onClose }: { entry: Entry; onClose: () => void }) {
  return (
    <section aria-label="Event" className="flex h-full min-h-0 flex-col">
      <header className="flex items-center gap-2 border-b border-border px-3 py-1.5">
        <h2 className="mr-auto truncate text-sm font-semibold">
          {entry.kind === "notice" ? "About the tail" : <span className="font-mono">{visibleLine(entry.id)}</span>}
        </h2>
        <CopyButton text={() => toJsonLine(entry)} label="Copy the event as JSON" />
        <Button variant="ghost" size="iconSmall" aria-label="Close the event" onClick={onClose}>
          <X />
        </Button>
      </header>
      <div className="min-h-0 flex-1 overflow-auto p-3" tabIndex={0} role="group" aria-label="Event’s content">
        {entry.kind === "notice" ? <p className="text-sm">{entry.text}</p> : <Facts entry={entry} />}
        {entry.kind === "published" && <Data key={entry.seq} data={entry.data} />}
        {entry.kind === "dropped" && (
          <p className="mt-3 text-sm text-muted-foreground">
            The publish was dropped before its body was read, so there is no data to show. A subscriber that comes in
            time prevents it.
          </p>
        )}
      </div>
    </section>
  );
}

function Facts({ entry }: { entry: Published | Dropped }) {
  return (
    <dl className="grid grid-cols-[4.5rem_1fr] gap-x-3 gap-y-1 text-sm">
      <Fact name="Time">{entry.time}</Fact>
      <Fact name={entry.topics.length === 1 ? "Topic" : "Topics"}>
        <span className="flex flex-wrap gap-1 font-mono">
          {entry.topics.map((topic) => (
            <Badge key={topic} className="max-w-full">
              <span className="truncate">{visibleLine(topic)}</span>
            </Badge>
          ))}
        </span>
      </Fact>
      {entry.kind === "published" ? (
        <Fact name="Type">
          {visibleLine(entry.event)}
          {entry.kept && <span className="text-muted-foreground"> (kept: older than this tail)</span>}
        </Fact>
      ) : (
        <Fact name="Reason">
          <Badge variant="danger">{visibleLine(entry.reason)}</Badge>
        </Fact>
      )}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted-foreground">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}

function Data({ data }: { data: string }) {
  const json = useMemo(() => parseJson(data), [data]);
  const [raw, setRaw] = useState(false);
  const cut = data.length > MAX_SHOWN;
  return (
    <div className="mt-3 border-t border-border pt-3">
      <div className="mb-2 flex min-h-7 items-center gap-1">
        <h3 className="mr-auto text-xs font-medium text-muted-foreground">Data, {plural(data.length, "character")}</h3>
        {json && (
          <Button size="small" variant="ghost" aria-pressed={raw} onClick={() => setRaw(!raw)}>
            As sent
          </Button>
        )}
        <CopyButton text={() => data} label="Copy the data" />
      </div>
      {json && !raw ? (
        <JsonTree value={json} />
      ) : data === "" ? (
        <p className="text-sm text-muted-foreground">Empty.</p>
      ) : (
        <pre className="font-mono text-[13px] [overflow-wrap:anywhere] whitespace-pre-wrap">
          <bdi>{visibleText(cut ? data.slice(0, MAX_SHOWN) : data)}</bdi>
        </pre>
      )}
      {cut && (raw || !json) && (
        <p className="mt-2 text-sm text-muted-foreground">
          These are the first {count(MAX_SHOWN)} characters. Copy the data to have all of it.
        </p>
      )}
    </div>
  );
}
