/** What goes out of an object to its members, and when: live events, and before them what a client missed. */

import type { Gap, Kept } from "../history/log";
import { Merge, type Past } from "../history/merge";
import { Replay } from "../history/replay";
import { controlMessage, isWebSocket, Outgoing, pastMessage, type Format, type Start } from "../wire/link";
import type { Here } from "./here";
import { Held, Seen } from "./holding";
import { send } from "./members";

/** So many outboxes of events are kept back for a connection at most. */
const MOST_HELD = 4;

export class Delivering {
  readonly held: Held;
  private readonly seen = new Seen();
  // Of links: where they begin, or have come.
  private readonly replays = new Map<string, Start | Replay>();

  /** @param overflowed Called when too much came for a connection while it was given what it missed. */
  constructor(
    private readonly here: Here,
    private readonly overflowed: (id: string) => void,
  ) {
    const { outboxEvents, outboxBytes } = here.settings;
    this.held = new Held({ events: MOST_HELD * outboxEvents, size: MOST_HELD * outboxBytes });
  }

  /** Note where a link begins, which asks for its pages itself. */
  begin(id: string, resume: Start): void {
    this.replays.set(id, resume);
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
    if (!this.held.has(id)) return this.first(id, outgoing.key);
    if (!this.held.push(id, outgoing)) this.overflowed(id);
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
      if (this.first(id, outgoing.key)) send(socket, outgoing.frame(member.format));
    }
    if (member.resuming) this.here.members.update(id, { resuming: false });
  }

  /** Give a WebSocket what it missed in its topics that keep history, then what has come meanwhile. */
  async catchUp(id: string, topics: readonly string[], resume: Start): Promise<void> {
    const replays = new Map<string, Replay>();
    for (const topic of topics.filter((each) => this.here.keeps(each))) {
      const replay = await Replay.begin(this.here.past(topic), resume);
      if (replay === null) continue;
      this.tellGaps(id, topic, replay.gaps);
      replays.set(topic, replay);
    }
    const merge = new Merge<Past & { kept: Kept }>([...replays.keys()]);
    // A client that has gone is given no more pages.
    while (this.here.members.get(id) !== undefined) {
      for (const topic of merge.wanting) {
        const replay = replays.get(topic);
        for (const kept of (await replay?.next()) ?? []) merge.add(topic, { ...past(kept), kept });
        this.tellGaps(id, topic, replay?.gaps ?? []);
        if (replay?.ended) merge.end(topic);
      }
      const next = merge.next();
      if (next !== null) this.write(id, next.topic, next.item.kept);
      else if (merge.wanting.length === 0) break;
    }
    this.release(id, new Map([...replays].map(([topic, { last }]) => [topic, last])));
  }

  /** Give a link the next page of what its client missed. */
  async sendPage(id: string): Promise<void> {
    const { name, members } = this.here;
    const start = this.replays.get(id);
    const found = members.get(id);
    if (start === undefined || found === undefined) return;
    let replay: Replay | null;
    if (start instanceof Replay) {
      replay = start;
    } else {
      replay = await Replay.begin(this.here.past(name), start);
      this.tellGaps(id, name, replay?.gaps ?? []);
    }
    const page = (await replay?.next()) ?? [];
    this.tellGaps(id, name, replay?.gaps ?? []);
    for (const kept of page) send(found.socket, pastMessage(kept.event, this.frame(name, kept, found.member.format)));
    members.update(id, { relayed: found.member.relayed + page.length });
    const end = replay === null || replay.ended;
    if (replay === null || end) {
      this.replays.delete(id);
      this.release(id, new Map([[name, replay?.last ?? 0]]));
    } else {
      this.replays.set(id, replay);
    }
    send(found.socket, controlMessage({ type: "page", end }));
  }

  private write(id: string, topic: string, kept: Kept): void {
    const found = this.here.members.get(id);
    if (found === undefined || !this.first(id, kept.key)) return;
    send(found.socket, this.frame(topic, kept, found.member.format));
    this.here.members.update(id, { relayed: found.member.relayed + 1 });
  }

  private frame(topic: string, { event, key, number }: Kept, format: Format): string {
    return new Outgoing(event, key, topic, number).frame(format);
  }

  /** Tell whether a connection is yet to get an event. A stream's Worker sees to that itself. */
  private first(id: string, key: string): boolean {
    return key === "" || !this.here.ledger.extras.has(id) || this.seen.first(id, key);
  }

  private tellGaps(id: string, topic: string, gaps: readonly Gap[]): void {
    const found = this.here.members.get(id);
    if (found === undefined) return;
    for (const { missed, reason } of gaps) {
      const gap = { type: "gap" as const, topic, missed, reason };
      send(found.socket, isWebSocket(found.member.format) ? JSON.stringify(gap) : controlMessage(gap));
    }
  }
}

function past({ key, event }: Kept): Past {
  return { key, topics: event.topics, time: event.time };
}
