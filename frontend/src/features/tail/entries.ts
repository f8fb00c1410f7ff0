import type { TailEvents } from "@/shared/api/types";
import type { SseEvent } from "@/shared/sse";

interface Stamped {
  /** Counts up with each entry of this page. */
  seq: number;
  /** RFC 3339. */
  time: string;
}

/** An event that was published to the topic. */
export interface Published extends Stamped {
  kind: "published";
  id: string;
  event: string;
  topics: readonly string[];
  data: string;
  /** Whether it is older than the tail: the topic had kept it. */
  kept: boolean;
}

/** A publish that was dropped: nobody was connected. Its body was not read. */
export interface Dropped extends Stamped {
  kind: "dropped";
  id: string;
  topics: readonly string[];
  reason: string;
}

/** Something about the tail itself: the connection was lost, or events are missing. */
export interface Notice extends Stamped {
  kind: "notice";
  text: string;
}

export type Entry = Published | Dropped | Notice;

/** What the gateway says with an event of the tail that it did not publish. */
export type TailMessage =
  | { kind: "entry"; entry: Published | Dropped | Notice }
  | { kind: "open"; node: string; kept: number }
  | { kind: "close"; reason: string }
  | { kind: "unknown" };

let last = 0;

/** The next sequence number. */
export function nextSeq(): number {
  last += 1;
  return last;
}

export function notice(text: string): Notice {
  return { kind: "notice", seq: nextSeq(), time: new Date().toISOString(), text };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** An event's fields by the names that the API's description gives them; what is in them has yet to be checked. */
type Unchecked<Type extends keyof TailEvents> = Partial<Record<keyof TailEvents[Type], unknown>>;

function parse(data: string): object | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** Reads one event of the tail (docs/reference/events.md); what it does not know, it passes over. */
export function readMessage({ type, data }: SseEvent): TailMessage {
  const body = parse(data);
  if (!body) return { kind: "unknown" };
  switch (type as keyof TailEvents) {
    case "published": {
      const { topics, id, event, data: content, time }: Unchecked<"published"> = body;
      return {
        kind: "entry",
        entry: {
          kind: "published",
          seq: nextSeq(),
          time: text(time),
          id: text(id),
          event: text(event) || "message",
          topics: texts(topics),
          data: text(content),
          kept: false,
        },
      };
    }
    case "dropped": {
      const { topics, id, time, reason }: Unchecked<"dropped"> = body;
      return {
        kind: "entry",
        entry: {
          kind: "dropped",
          seq: nextSeq(),
          time: text(time),
          id: text(id),
          topics: texts(topics),
          reason: text(reason),
        },
      };
    }
    case "gateway.gap": {
      const { missed, reason }: Unchecked<"gateway.gap"> = body;
      const events = typeof missed === "number" ? `${missed} events are` : "Events are";
      return { kind: "entry", entry: notice(`${events} missing here (${text(reason) || "no reason given"}).`) };
    }
    case "gateway.open": {
      const { node, kept }: Unchecked<"gateway.open"> = body;
      return { kind: "open", node: text(node), kept: typeof kept === "number" ? kept : 0 };
    }
    case "gateway.close": {
      const { reason }: Unchecked<"gateway.close"> = body;
      return { kind: "close", reason: text(reason) };
    }
    default:
      return { kind: "unknown" };
  }
}

/** An entry as one line of NDJSON, without its number on this page. */
export function toJsonLine(entry: Entry): string {
  return JSON.stringify({ ...entry, seq: undefined });
}

/** Whether an entry holds a text, whatever its case. */
export function matches(entry: Entry, needle: string): boolean {
  const holds = (field: string) => field.toLowerCase().includes(needle);
  if (entry.kind === "notice") return true;
  if (holds(entry.id) || entry.topics.some(holds)) return true;
  return entry.kind === "published" && (holds(entry.event) || holds(entry.data));
}
