/** What must not go out yet, and what has gone out already: the two memories that make an event come once and in order. */

import type { Outgoing } from "../wire/link";

/** How long it is remembered that an event has come: longer than its ways from several topics differ. */
const SEEN_MS = 10_000;
/** So many connections of events are remembered at most, whatever the time. */
const MOST_SEEN = 300_000;

interface Waiting {
  events: Outgoing[];
  /** Characters of their data. */
  size: number;
}

/** Events kept back from connections that open or are given what they missed. */
export class Held {
  private readonly byId = new Map<string, Waiting>();

  /** @param most Most events, and most characters of their data, for one connection. */
  constructor(private readonly most: { events: number; size: number }) {}

  get size(): number {
    return this.byId.size;
  }

  /** Begin to keep back what comes for a connection. */
  begin(id: string): void {
    if (!this.byId.has(id)) this.byId.set(id, { events: [], size: 0 });
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  /** Keep an event back; false when that is too much now. */
  push(id: string, outgoing: Outgoing): boolean {
    const waiting = this.byId.get(id);
    if (waiting === undefined) return true;
    waiting.events.push(outgoing);
    waiting.size += outgoing.event.data.length;
    return waiting.events.length <= this.most.events && waiting.size <= this.most.size;
  }

  /** End it, and return what has come meanwhile. */
  end(id: string): Outgoing[] {
    const waiting = this.byId.get(id)?.events ?? [];
    this.byId.delete(id);
    return waiting;
  }
}

/** Which connections have had which events: one event may reach a connection from several of its topics. */
export class Seen {
  // Event to the connections that had it, in the order of the events' coming.
  private readonly byKey = new Map<string, { at: number; ids: Set<string> }>();
  private size = 0;

  /** Tell whether an event comes to a connection for the first time. @param key The event's, empty when it comes once. */
  first(id: string, key: string): boolean {
    if (key === "") return true;
    let event = this.byKey.get(key);
    if (event?.ids.has(id)) return false;
    if (event === undefined) {
      const now = Date.now();
      this.forget(now);
      event = { at: now, ids: new Set() };
      this.byKey.set(key, event);
    }
    event.ids.add(id);
    this.size += 1;
    return true;
  }

  /** Forget what is too old, and the oldest where there is too much. */
  private forget(now: number): void {
    for (const [key, { at, ids }] of this.byKey) {
      if (at + SEEN_MS > now && this.size < MOST_SEEN) break;
      this.byKey.delete(key);
      this.size -= ids.size;
    }
  }
}
