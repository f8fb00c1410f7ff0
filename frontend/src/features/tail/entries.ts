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
  | { kind: "open"; node: string }
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

function parse(data: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Reads one event of the tail (docs/reference/events.md); what it does not know, it passes over. */
export function readMessage({ type, data }: SseEvent): TailMessage {
  const body = parse(data);
  if (!body) return { kind: "unknown" };
  switch (type) {
    case "published": {
      const { topics, id, event, time } = body;
      return {
        kind: "entry",
        entry: {
          kind: "published",
          seq: nextSeq(),
          time: text(time),
          id: text(id),
          event: text(event) || "message",
          topics: texts(topics),
          data: text(body["data"]),
        },
      };
    }
    case "dropped": {
      const { topics, id, time, reason } = body;
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
      const { missed, reason } = body;
      const events = typeof missed === "number" ? `${missed} events are` : "Events are";
      return { kind: "entry", entry: notice(`${events} missing here (${text(reason) || "no reason given"}).`) };
    }
    case "gateway.open":
      return { kind: "open", node: text(body["node"]) };
    case "gateway.close":
      return { kind: "close", reason: text(body["reason"]) };
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
