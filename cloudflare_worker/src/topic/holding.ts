/** What must not go out yet, and what has gone out already: the two memories that make an event come once and in order. */

import type { Outgoing } from "../wire/link";

const MOST_SEEN = 4096;

/** Events kept back from connections that open or are given what they missed. */
export class Held {
  private readonly byId = new Map<string, Outgoing[]>();

  get size(): number {
    return this.byId.size;
  }

  /** Begin to keep back what comes for a connection. */
  begin(id: string): void {
    if (!this.byId.has(id)) this.byId.set(id, []);
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  /** Keep an event back; returns how many wait now. */
  push(id: string, outgoing: Outgoing): number {
    return this.byId.get(id)?.push(outgoing) ?? 0;
  }

  /** End it, and return what has come meanwhile. */
  end(id: string): Outgoing[] {
    const waiting = this.byId.get(id) ?? [];
    this.byId.delete(id);
    return waiting;
  }
}

/** Which connections have had which events: one event may reach a connection from several of its topics. */
export class Seen {
  private readonly pairs = new Set<string>();

  /** Tell whether an event comes to a connection for the first time. @param key The event's, empty when it comes once. */
  first(id: string, key: string): boolean {
    if (key === "") return true;
    const pair = `${key} ${id}`;
    if (this.pairs.has(pair)) return false;
    if (this.pairs.size >= MOST_SEEN) this.pairs.delete(this.pairs.values().next().value ?? "");
    this.pairs.add(pair);
    return true;
  }
}
