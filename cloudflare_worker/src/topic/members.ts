/** The sockets of one object, and what each carries through hibernation in its attachment. */

import type { Format, Outgoing } from "../wire/link";
import type { Ledger } from "./ledger";

/** What a topic has counted since it exists. It lives in the attachment of one member, so that counting costs no storage. */
export interface Counters {
  events: number;
  last: { id: string; time: string } | null;
}

/** What an attachment holds, at most 16 KiB (Durable Objects API, `serializeAttachment`). */
export interface Member {
  id: string;
  format: Format;
  node: string;
  /** Whether it is subscribed to this object's topic; a WebSocket may have left it and stay here. */
  own: boolean;
  /** The topic's count of events when it came. */
  since: number;
  /** Events that other objects handed to it through this one. */
  relayed: number;
  /** Bad messages in a row, and when the last came, in milliseconds. */
  bad: number;
  badAt: number;
  counters?: Counters;
  /** Whether it is being given what it missed: a life of the object that ends meanwhile ends the socket too. */
  resuming?: boolean;
  /** Whether the object has closed it, and taken it out of everything: its close event has nothing more to do. */
  ended?: boolean;
}

export class Members {
  readonly counters: Counters = { events: 0, last: null };
  /** Those whose replay broke off with the object's last life. */
  readonly interrupted: string[] = [];

  private readonly byId = new Map<string, { socket: WebSocket; member: Member }>();
  private subscribed = 0;
  private watching = 0;

  /**
   * @param sockets Those that have outlived the object's last life.
   * @param ledger Keeps the counters while there is no member; null where the history counts.
   */
  constructor(
    sockets: readonly WebSocket[],
    private readonly ledger: Pick<Ledger, "counters" | "keepCounters"> | null,
  ) {
    Object.assign(this.counters, ledger?.counters);
    for (const socket of sockets) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      const member = socket.deserializeAttachment() as Member;
      this.add(socket, member);
      if (member.resuming) this.interrupted.push(member.id);
      if (member.counters !== undefined && member.counters.events >= this.counters.events) {
        Object.assign(this.counters, member.counters);
      }
    }
  }

  /** Members that are subscribed to the topic: tails are not. */
  get connections(): number {
    return this.subscribed;
  }

  get tails(): number {
    return this.watching;
  }

  /** All members, whatever they are subscribed to. */
  get size(): number {
    return this.byId.size;
  }

  get(id: string): { socket: WebSocket; member: Member } | undefined {
    return this.byId.get(id);
  }

  add(socket: WebSocket, member: Member): void {
    this.byId.set(member.id, { socket, member });
    this.count(member, 1);
    socket.serializeAttachment(member);
  }

  /** Change what a member carries. */
  update(id: string, change: Partial<Member>): void {
    const found = this.byId.get(id);
    if (found === undefined) return;
    this.count(found.member, -1);
    Object.assign(found.member, change);
    this.count(found.member, 1);
    found.socket.serializeAttachment(found.member);
  }

  /** Take a member away. */
  remove(id: string): void {
    const found = this.byId.get(id);
    if (found === undefined) return;
    this.byId.delete(id);
    this.count(found.member, -1);
    if (found.member.counters !== undefined) this.keepCounters();
  }

  /** Begin to count anew: the topic exists no more. */
  forgetCounters(): void {
    if (this.counters.events === 0) return;
    Object.assign(this.counters, { events: 0, last: null });
    this.keepCounters();
  }

  /** Nodes of the subscribed members. */
  nodes(): string[] {
    const nodes = new Set<string>();
    for (const { member } of this.byId.values()) if (member.own) nodes.add(member.node);
    return [...nodes];
  }

  /** Count an event of the topic, so that hibernation does not forget it. */
  published(id: string, time: string): void {
    this.counters.events += 1;
    this.counters.last = { id, time };
    this.keepCounters();
  }

  /** Write an event to every member of the topic; returns to how many subscribers. */
  deliver(outgoing: Outgoing, sees: (member: Member) => boolean): number {
    let sent = 0;
    for (const { socket, member } of this.byId.values()) {
      if (!member.own && member.format !== "tail") continue;
      if (!sees(member)) continue;
      if (send(socket, outgoing.frame(member.format)) && member.format !== "tail") sent += 1;
    }
    return sent;
  }

  /** Write a message to every tail. */
  tell(message: string): void {
    for (const { socket, member } of this.byId.values()) if (member.format === "tail") send(socket, message);
  }

  private keepCounters(): void {
    const first = this.byId.values().next().value;
    if (first === undefined) {
      this.ledger?.keepCounters(this.counters);
      return;
    }
    first.member.counters = this.counters;
    first.socket.serializeAttachment(first.member);
  }

  private count(member: Member, step: 1 | -1): void {
    if (member.format === "tail") this.watching += step;
    else if (member.own) this.subscribed += step;
  }
}

/** Write a message, if the socket still takes one. */
export function send(socket: WebSocket, message: string): boolean {
  try {
    socket.send(message);
    return true;
  } catch {
    // It has ended: its close event takes it away.
    return false;
  }
}
