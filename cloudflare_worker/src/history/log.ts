/** One topic's past in its object's SQLite: the events that are kept, and the ids of those evicted before them. */

import type { Event } from "../events";
import type { Limits } from "./rules";

/** Most evicted events whose ids are still known; never more than the topic may keep. */
const INDEXED_EVENTS = 10_000;
/** Where a page ends though more events were asked for, in characters of their data. */
const PAGE_CHARACTERS = 65_536;
/**
 * How far behind another topic's event a client is put in a topic that does not know its id, in milliseconds: objects
 * have no common order, so what came in this time may come twice rather than not at all.
 */
const OVERLAP_MS = 5000;

/** One event that is kept, with its number in the topic: 1, 2, 3 … without holes. */
export interface Kept {
  number: number;
  event: Event;
  /** Names the event where it has several topics; else empty. */
  key: string;
}

/** What a replay cannot give, as `gateway.gap` tells it. */
export interface Gap {
  missed: number | null;
  reason: "evicted" | "unknown-id" | "repeated-id";
}

/** Where a client stands that comes back. */
export interface Standing {
  /** Number of the last event that it has. */
  after: number;
  /** Number of the newest event: what is live begins behind it. */
  last: number;
  gaps: Gap[];
}

interface Row {
  [column: string]: SqlStorageValue;
  number: number;
  id: string;
  event: string | null;
  data: string;
  retry: number | null;
  time: string;
  topics: string;
  key: string;
}

export class Log {
  private stored: boolean;

  constructor(
    private readonly sql: SqlStorage,
    private readonly limits: Limits,
  ) {
    this.stored = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'events'").toArray().length > 0;
  }

  /** Number of events that are kept: not counted, as every row that is read is paid for. */
  get size(): number {
    if (!this.stored) return 0;
    const { last } = this;
    return last + 1 - this.firstKept(last);
  }

  /** Number of the newest event, 0 before the first. */
  get last(): number {
    return this.stored
      ? this.value("SELECT COALESCE(MAX(seq), 0) AS value FROM sqlite_sequence WHERE name = 'events'")
      : 0;
  }

  /** Time of the oldest event that is kept, in milliseconds; null when there is none. */
  get oldest(): number | null {
    if (!this.stored) return null;
    return this.sql.exec<{ at: number }>("SELECT at FROM events ORDER BY number LIMIT 1").toArray()[0]?.at ?? null;
  }

  /** Keep one more event; returns its number. */
  append(event: Event, key: string, now: number): number {
    this.open();
    this.sql.exec(
      "INSERT INTO events (id, event, data, retry, time, topics, key, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      event.id,
      event.event,
      event.data,
      event.retry,
      event.time,
      JSON.stringify(event.topics),
      key,
      now,
    );
    this.evict(now);
    return this.last;
  }

  /** Keep no more than may be kept. */
  evict(now: number): void {
    if (!this.stored) return;
    const { events, seconds } = this.limits;
    const byCount = events === null ? 0 : this.last - events;
    const byAge = seconds === null ? 0 : this.firstSince(now - seconds * 1000) - 1;
    const until = Math.max(byCount, byAge);
    if (until <= 0) return;
    this.sql.exec("INSERT OR IGNORE INTO marks (number, id) SELECT number, id FROM events WHERE number <= ?", until);
    this.sql.exec("DELETE FROM events WHERE number <= ?", until);
    const most = Math.min(events ?? INDEXED_EVENTS, INDEXED_EVENTS);
    this.sql.exec("DELETE FROM marks WHERE number <= (SELECT COALESCE(MAX(number), 0) FROM marks) - ?", most);
  }

  /** When an id's event was stored, in milliseconds; null when it is not kept. */
  storedAt(id: string): number | null {
    if (!this.stored) return null;
    return this.sql.exec<{ value: number | null }>("SELECT MIN(at) AS value FROM events WHERE id = ?", id).one().value;
  }

  /**
   * Find where a client stands.
   *
   * @param id Of the last event that it got.
   * @param elsewhere When that event was stored in another of its topics, in milliseconds; null when in none.
   */
  locate(id: string, elsewhere: number | null): Standing {
    if (!this.stored)
      return { after: 0, last: 0, gaps: elsewhere === null ? [{ missed: null, reason: "unknown-id" }] : [] };
    const { last } = this;
    const numbers = this.sql
      .exec<{ number: number }>(
        "SELECT number FROM events WHERE id = ?1 UNION SELECT number FROM marks WHERE id = ?1 ORDER BY number",
        id,
      )
      .toArray()
      .map((row) => row.number);
    const [oldest] = numbers;
    if (oldest !== undefined) {
      const gaps: Gap[] = numbers.length > 1 ? [{ missed: null, reason: "repeated-id" }] : [];
      const missed = this.firstKept(last) - 1 - oldest;
      return { after: oldest, last, gaps: missed > 0 ? [...gaps, { missed, reason: "evicted" }] : gaps };
    }
    if (elsewhere === null) return { after: 0, last, gaps: [{ missed: null, reason: "unknown-id" }] };
    const after = this.value(
      "SELECT COALESCE(MAX(number), 0) AS value FROM events WHERE at < ?",
      elsewhere - OVERLAP_MS,
    );
    const evicted = after === 0 && this.firstKept(last) > 1;
    return { after, last, gaps: evicted ? [{ missed: null, reason: "evicted" }] : [] };
  }

  /** Find where the newest events begin. @param count How many of them. */
  newestFrom(count: number): Standing {
    const { last } = this;
    return { after: this.stored ? Math.max(last - count, this.firstKept(last) - 1) : 0, last, gaps: [] };
  }

  /** Return the events behind a number, oldest first; none at the end. */
  read(after: number, limit: number): Kept[] {
    if (!this.stored) return [];
    const page: Kept[] = [];
    let size = 0;
    for (const row of this.sql.exec<Row>(
      "SELECT * FROM events WHERE number > ? ORDER BY number LIMIT ?",
      after,
      limit,
    )) {
      page.push(kept(row));
      size += row.data.length;
      if (size >= PAGE_CHARACTERS) break;
    }
    return page;
  }

  /** List events before a number, newest first. */
  newest(limit: number, before: number | null): Kept[] {
    if (!this.stored) return [];
    const page: Kept[] = [];
    let size = 0;
    const query = "SELECT * FROM events WHERE number < ? ORDER BY number DESC LIMIT ?";
    for (const row of this.sql.exec<Row>(query, before ?? Number.MAX_SAFE_INTEGER, limit)) {
      page.push(kept(row));
      size += row.data.length;
      // An answer of an object is bounded, and so is its memory.
      if (size >= 4 * 1_048_576) break;
    }
    return page;
  }

  /** Number of the first event that was stored at a time or later: looks at those before it, and at no others. */
  private firstSince(time: number): number {
    const query = "SELECT number FROM events WHERE at >= ? ORDER BY number LIMIT 1";
    return this.sql.exec<{ number: number }>(query, time).toArray()[0]?.number ?? this.last + 1;
  }

  private firstKept(last: number): number {
    return this.value("SELECT COALESCE(MIN(number), ?) AS value FROM events", last + 1);
  }

  private value(query: string, ...values: SqlStorageValue[]): number {
    return this.sql.exec<{ value: number }>(query, ...values).one().value;
  }

  private open(): void {
    if (this.stored) return;
    this.stored = true;
    this.sql.exec(`
      CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, event TEXT, data TEXT NOT NULL, retry INTEGER,
        time TEXT NOT NULL, topics TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL);
      CREATE INDEX ids ON events (id);
      CREATE TABLE marks (number INTEGER PRIMARY KEY, id TEXT NOT NULL);
      CREATE INDEX marked ON marks (id);
    `);
  }
}

function kept({ number, id, event, data, retry, time, topics, key }: Row): Kept {
  return { number, key, event: { topics: JSON.parse(topics) as string[], id, event, data, retry, time } };
}
