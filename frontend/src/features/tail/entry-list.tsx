import { useVirtualizer } from "@tanstack/react-virtual";
import { Ban, History, Info } from "lucide-react";
import { memo, useEffect, useEffectEvent, useRef, type KeyboardEvent, type UIEvent } from "react";

import { Badge } from "@/components/ui/badge";
import { cn } from "@/shared/cn";
import { clock, size } from "@/shared/format";
import { visibleLine } from "@/shared/visible";

import type { Entry } from "./entries";

const ROW_PIXELS = 30;
const PREVIEW = 300;
/** A list this near to its end is at its end; scroll positions are not whole numbers everywhere. */
const NEAR_END_PIXELS = 24;

interface EntryListProps {
  entries: readonly Entry[];
  selected: Entry | null;
  /** Whether the list stays at its newest entry. */
  following: boolean;
  onSelect: (entry: Entry) => void;
  /** The reader scrolled away from the newest entry. */
  onLeaveEnd: () => void;
}

/** Entries, oldest first. Only those in view are in the page. */
export function EntryList({ entries, selected, following, onSelect, onLeaveEnd }: EntryListProps) {
  const frame = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing of the virtualizer is kept in a memo
  const virtualizer = useVirtualizer({
    count: entries.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PIXELS,
    getItemKey: (index) => entries[index]?.seq ?? index,
    overscan: 8,
    useFlushSync: false,
  });
  const newest = entries.at(-1)?.seq;
  useEffect(() => {
    const element = frame.current;
    if (following && element) {
      element.scrollTop = element.scrollHeight;
      lastTop.current = element.scrollTop;
    }
  }, [following, newest]);

  const scrollTo = useEffectEvent((seq: number | undefined) => {
    const index = entries.findIndex((entry) => entry.seq === seq);
    if (index >= 0) virtualizer.scrollToIndex(index, { align: "auto" });
  });
  useEffect(() => scrollTo(selected?.seq), [selected]);

  const onScroll = (event: UIEvent<HTMLDivElement>) => {
    const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
    const upwards = scrollTop < lastTop.current;
    lastTop.current = scrollTop;
    if (following && upwards && scrollHeight - clientHeight - scrollTop > NEAR_END_PIXELS) onLeaveEnd();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const now = selected ? entries.findIndex(({ seq }) => seq === selected.seq) : -1;
    const last = entries.length - 1;
    const to: Record<string, number> = {
      ArrowDown: now < 0 ? last : now + 1,
      ArrowUp: now < 0 ? last : now - 1,
      PageDown: now + 10,
      PageUp: now - 10,
      Home: 0,
      End: last,
    };
    const target = to[event.key];
    if (target === undefined || last < 0) return;
    event.preventDefault();
    const entry = entries[Math.max(0, Math.min(last, target))];
    if (entry) onSelect(entry);
  };

  return (
    <div
      ref={frame}
      role="listbox"
      aria-label="Events"
      tabIndex={0}
      aria-activedescendant={selected ? `entry-${selected.seq}` : undefined}
      onScroll={onScroll}
      onKeyDown={onKeyDown}
      className="h-full overflow-x-hidden overflow-y-auto [overflow-anchor:none] focus-visible:outline-offset-[-2px]"
    >
      <div role="presentation" className="relative" style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map(({ index, key, start }) => {
          const entry = entries[index];
          return (
            entry && (
              <Row
                key={key}
                entry={entry}
                start={start}
                position={index + 1}
                total={entries.length}
                selected={entry.seq === selected?.seq}
                onSelect={onSelect}
              />
            )
          );
        })}
      </div>
    </div>
  );
}

interface RowProps {
  entry: Entry;
  start: number;
  position: number;
  total: number;
  selected: boolean;
  onSelect: (entry: Entry) => void;
}

const Row = memo(function Row({ entry, start, position, total, selected, onSelect }: RowProps) {
  return (
    <div
      id={`entry-${entry.seq}`}
      role="option"
      aria-selected={selected}
      aria-posinset={position}
      aria-setsize={total}
      data-kind={entry.kind}
      onClick={() => onSelect(entry)}
      style={{ transform: `translateY(${start}px)`, height: ROW_PIXELS }}
      className={cn(
        "absolute inset-x-0 top-0 flex items-center gap-2.5 overflow-hidden border-l-2 border-transparent px-3 font-mono text-[13px] whitespace-nowrap hover:bg-muted",
        entry.kind === "dropped" && "bg-danger-muted/40",
        entry.kind === "notice" && "bg-warning-muted text-warning",
        selected && "border-primary bg-accent hover:bg-accent",
      )}
    >
      <span className={cn("shrink-0 text-xs tabular-nums", entry.kind !== "notice" && "text-muted-foreground")}>
        {clock(entry.time)}
      </span>
      <Line entry={entry} />
    </div>
  );
});

function Line({ entry }: { entry: Entry }) {
  switch (entry.kind) {
    case "notice":
      return (
        <span className="flex min-w-0 items-center gap-1.5 font-sans">
          <Info aria-hidden className="size-3.5 shrink-0" />
          <span className="truncate">{entry.text}</span>
        </span>
      );
    case "dropped":
      return (
        <>
          <Badge variant="danger">
            <Ban aria-hidden />
            dropped
          </Badge>
          <span className="max-w-48 shrink-0 truncate">{visibleLine(entry.id)}</span>
          <span className="truncate text-muted-foreground">{visibleLine(entry.reason)}</span>
        </>
      );
    case "published":
      return (
        <>
          {entry.kept && (
            <Badge title="Older than this tail: the topic had kept it">
              <History aria-hidden />
              kept
            </Badge>
          )}
          {entry.event !== "message" && (
            <Badge variant="info" className="max-w-40">
              <span className="truncate">{visibleLine(entry.event)}</span>
            </Badge>
          )}
          <span className="hidden max-w-40 shrink-0 truncate text-muted-foreground sm:inline">
            {visibleLine(entry.id)}
          </span>
          <bdi className="min-w-0 flex-1 truncate">{visibleLine(entry.data.slice(0, PREVIEW))}</bdi>
          {entry.data.length > PREVIEW && (
            <span className="shrink-0 text-xs text-muted-foreground">{size(entry.data.length)}</span>
          )}
        </>
      );
  }
}
