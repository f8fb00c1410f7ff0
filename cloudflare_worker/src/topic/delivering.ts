/** What goes out of an object to its members, and when: live events, and before them what a client missed. */

import type { Kept } from "../history/log";
import { controlMessage, isWebSocket, Outgoing, type Start } from "../wire/link";
import type { Here } from "./here";
import { Held, Seen } from "./holding";
import { send } from "./members";

/** So many outboxes of events are kept back for a connection at most. */
const MOST_HELD = 4;

export class Delivering {
  readonly held = new Held();
  private readonly seen = new Seen();
  // Where the replay of a link has come.
  private readonly replays = new Map<string, { resume: Start; after: number; last: number } | { resume: Start }>();

  /** @param overflowed Called when too much came for a connection while it was given what it missed. */
  constructor(
    private readonly here: Here,
    private readonly overflowed: (id: string) => void,
  ) {}

  /** Note where a link begins, which asks for its pages itself. */
  begin(id: string, resume: Start): void {
    this.replays.set(id, { resume });
  }

  /** Forget a connection that has ended. */
  forget(id: string): void {
    this.held.end(id);
    this.replays.delete(id);
  }

  /** Write an event to every member that is to have it now; returns to how many subscribers. */
  deliver(outgoing: Outgoing): number {
    return this.here.members.deliver(outgoing, ({ id }) => this.take(id, outgoing));
  }

  /** Tell whether an event is to go out to a connection now; what comes too early waits. */
  take(id: string, outgoing: Outgoing): boolean {
    // Only a WebSocket gets one event from several objects through this one; a stream's Worker sees to that itself.
    const once = outgoing.key === "" || !this.here.ledger.extras.has(id) || this.seen.first(id, outgoing.key);
    if (!once) return false;
    if (!this.held.has(id)) return true;
    if (this.held.push(id, outgoing) > MOST_HELD * this.here.settings.outboxEvents) {
      this.overflowed(id);
    }
    return false;
  }

  /** Write what was kept back, but for what a replay has written already. @param lasts Topic to last number of those. */
  release(id: string, lasts: ReadonlyMap<string, number>): void {
    const waiting = this.held.end(id);
    const found = this.here.members.get(id);
    if (found === undefined) return;
    const { socket, member } = found;
    for (const outgoing of waiting) {
      if (outgoing.number !== null && outgoing.number <= (lasts.get(outgoing.topic) ?? 0)) continue;
      send(socket, outgoing.frame(member.format));
    }
    if (member.resuming) this.here.members.update(id, { resuming: false });
  }

  /** Give a WebSocket what it missed in each of its topics that keep history, then what has come meanwhile. */
  async catchUp(id: string, topics: readonly string[], resume: Start): Promise<void> {
    const lasts = new Map<string, number>();
    for (const topic of topics.filter((each) => this.here.keeps(each))) {
      const source = this.here.whole(topic);
      const standing = await source.locate(resume);
      if (standing === null) continue;
      this.tellGaps(id, topic, standing.gaps);
      let after = standing.after;
      while (after < standing.last) {
        const page = await source.read(after);
        after = this.writePage(id, topic, page, after === standing.after ? null : after) ?? standing.last;
      }
      lasts.set(topic, standing.last);
    }
    this.release(id, lasts);
  }

  /** Give a link the next page of what its client missed. */
  async sendPage(id: string): Promise<void> {
    const found = this.here.members.get(id);
    const replay = this.replays.get(id);
    if (found === undefined || replay === undefined) return;
    const source = this.here.whole(this.here.name);
    let standing: { after: number; last: number };
    const begins = !("after" in replay);
    if (begins) {
      const located = (await source.locate(replay.resume)) ?? { after: 0, last: 0, gaps: [] };
      this.tellGaps(id, this.here.name, located.gaps);
      standing = located;
    } else {
      standing = replay;
    }
    const page = standing.after < standing.last ? await source.read(standing.after) : [];
    const after = this.writePage(id, this.here.name, page, begins ? null : standing.after) ?? standing.last;
    const end = after >= standing.last;
    if (end) {
      this.replays.delete(id);
      this.release(id, new Map([[this.here.name, standing.last]]));
    } else {
      this.replays.set(id, { resume: replay.resume, after, last: standing.last });
    }
    send(found.socket, controlMessage({ type: "page", end }));
  }

  /**
   * Write kept events to a member; returns the number of the last, null when there was none.
   *
   * @param after Number of the last event of the page before; null for the first, whose gap its standing has told.
   */
  private writePage(id: string, topic: string, page: readonly Kept[], after: number | null): number | null {
    const found = this.here.members.get(id);
    const [first] = page;
    const last = page.at(-1);
    if (found === undefined || first === undefined || last === undefined) return null;
    const missed = after === null ? 0 : first.number - after - 1;
    if (missed > 0) {
      this.tellGaps(id, topic, [{ missed, reason: "evicted" }]);
    }
    for (const { event, key, number } of page) {
      if (key !== "" && this.here.ledger.extras.has(id) && !this.seen.first(id, key)) continue;
      send(found.socket, new Outgoing(event, key, topic, number).frame(found.member.format));
    }
    this.here.members.update(id, { relayed: found.member.relayed + page.length });
    return last.number;
  }

  private tellGaps(id: string, topic: string, gaps: readonly { missed: number | null; reason: string }[]): void {
    const found = this.here.members.get(id);
    if (found === undefined) return;
    for (const { missed, reason } of gaps) {
      const gap = { type: "gap" as const, topic, missed, reason };
      send(found.socket, isWebSocket(found.member.format) ? JSON.stringify(gap) : controlMessage(gap));
    }
  }
}
