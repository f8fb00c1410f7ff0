/**
 * One topic: its subscribers as hibernating WebSockets, and the one order of its events.
 *
 * Past `GATEWAY_TOPIC_SOCKETS` sockets the topic is spread over parts, further objects of this class, which this one
 * hands each event on to: the order is still made here.
 */

import { DurableObject } from "cloudflare:workers";
import type { Event } from "./events";
import { Refused, Unavailable } from "./exceptions";
import type { Kept, Standing } from "./history/log";
import { log } from "./logs";
import { problemOf } from "./problems";
import type { Env } from "./settings";
import type { Delivery, Description, Drop, Look } from "./topic/answers";
import { Asking, type Known } from "./topic/asking";
import { Commands } from "./topic/commands";
import { Delivering } from "./topic/delivering";
import { Here } from "./topic/here";
import { send, type Member } from "./topic/members";
import { Membership } from "./topic/membership";
import { Parts } from "./topic/parts";
import { Relays, type Handed, type Relayed } from "./topic/relays";
import {
  controlMessage,
  eventMessage,
  isWebSocket,
  FULL_HEADER,
  LINK_HEADER,
  MORE,
  Outgoing,
  type Link,
  type Start,
} from "./wire/link";
import { encodeControl } from "./wire/sse";
import { CLOSE_NORMAL, CLOSE_POLICY, CLOSE_TOO_BIG, CLOSE_TRY_AGAIN, MAX_MESSAGE_BYTES } from "./wire/websocket";

/** Events of one page of a replay: a quarter of the smallest outbox that is sensible. */
const PAGE_EVENTS = 64;

/** How late the alarm for an event that is too old may ring: milliseconds for each second that it may be kept. */
const ALARM_SLACK = 100;
const MOST_SLACK_MS = 60_000;

/** Figures of a connection that is being opened. */
const NOTHING_YET: Known = { sent: 0, pending: null, pending_bytes: null, behind_since: null };

export class Topic extends DurableObject<Env> {
  private readonly here: Here;
  private readonly out: Delivering;
  private readonly parts: Parts;
  private readonly relays: Relays;
  private readonly commands: Commands;
  private readonly asking: Asking;
  private readonly membership: Membership;
  // Whether the directory could not be told that the topic keeps events.
  private unlisted = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.here = new Here(ctx, env, this);
    this.parts = new Parts(this.here);
    this.out = new Delivering(this.here, (id) => {
      ctx.waitUntil(this.membership.end(id, CLOSE_TRY_AGAIN, "too much came while what was missed was read"));
    });
    this.relays = new Relays(this.here, this.out);
    this.commands = new Commands(
      this.here,
      this.out,
      this.relays,
      this.parts,
      (socket) => ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0,
    );
    this.asking = new Asking(this.here.members);
    this.membership = new Membership(ctx, this.here, this.out, this.relays, this.parts, this.commands);
    // Answered by the runtime: a client that asks for a sign of life wakes nobody.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('{"type":"ping"}', '{"type":"pong"}'));
    for (const id of this.here.members.interrupted)
      ctx.waitUntil(this.membership.end(id, CLOSE_TRY_AGAIN, "come back"));
    // Their sockets ended with the object's last life, which could not let go of their topics.
    for (const id of this.here.orphans) ctx.waitUntil(this.membership.left(id, "websocket-json"));
  }

  // What Workers ask

  /** Open a socket: a subscriber's own, or a link of the Worker. */
  override async fetch(request: Request): Promise<Response> {
    const link = JSON.parse(decodeURIComponent(request.headers.get(LINK_HEADER) ?? "null")) as Link;
    const { members, settings } = this.here;
    if (link.format !== "tail" && members.size + this.out.held.size >= settings.topicSockets) {
      return this.parts.full(Number(request.headers.get(FULL_HEADER) ?? 0));
    }
    try {
      return await this.membership.open(link);
    } catch (error) {
      if (error instanceof Refused) return problemOf(error).response();
      // Another object failed: this one is none the worse for it, and nor is the client that tries again.
      log("error", "connection not opened", { topic: this.here.name, error: String(error) });
      return problemOf(new Unavailable()).response();
    }
  }

  /** Tell whether the topic exists, whether anybody watches it, and what an event of this id was answered. */
  look(id: string): Look {
    const { limits, connections, members, answered } = this.here;
    return {
      exists: limits !== null || connections > 0,
      tails: members.tails,
      answered: answered?.of(id, Date.now()) ?? null,
    };
  }

  /**
   * Keep an event, where the topic keeps history, and hand it to every connection.
   *
   * @param key Names the event where it has several topics; else empty.
   * @returns Null when the topic does not exist: nothing was delivered.
   */
  async publish(event: Event, key: string): Promise<Delivery | null> {
    const { connections, log, answered, members, name } = this.here;
    const now = Date.now();
    const first = answered?.of(event.id, now) ?? null;
    if (first !== null) return { ...first, delivered: 0, repeated: true };
    if (connections === 0 && log === null) return null;
    // Stored, counted and written without a pause between: the order in the log is the order on every socket.
    const number = log?.append(event, key, now) ?? null;
    const until = answered?.remember(event.id, { connections, key }, now) ?? null;
    members.published(event.id, event.time);
    const handed = [
      { delivered: this.out.deliver(new Outgoing(event, key, name, number)), connections: members.connections },
    ];
    try {
      const others = [...this.parts.hand(event, key, number), ...this.relays.hand({ event, key, topic: name, number })];
      handed.push(...(await Promise.all(others)));
    } catch (error) {
      // The publisher is told to try again, and then it must not be told that all is well.
      answered?.revoke(event.id);
      throw error;
    }
    const reached = sum(handed, "connections");
    // All that it had were of objects that had crashed: nobody was there.
    if (reached === 0 && log === null) {
      answered?.revoke(event.id);
      return null;
    }
    if (reached !== connections) answered?.remember(event.id, { connections: reached, key }, now);
    if (number !== null) await this.keepUntil(number);
    if (until !== null) await this.wakeBy(until);
    return { connections: reached, delivered: sum(handed, "delivered"), repeated: false, key };
  }

  /** Show a dropped publish to the tails. */
  drop(drop: Drop): void {
    this.here.members.tell(eventMessage("", encodeControl("dropped", drop)));
  }

  async describe(): Promise<Description> {
    this.here.log?.evict(Date.now());
    const nodes = new Set(this.here.members.nodes());
    for (const relays of this.here.ledger.relays.values()) for (const { node } of relays.values()) nodes.add(node);
    for (const part of await this.parts.describe()) for (const node of part.nodes) nodes.add(node);
    const { events, last } = this.here.members.counters;
    const [newest] = this.here.log?.newest(1, null) ?? [];
    return {
      connections: this.here.connections,
      nodes: [...nodes].sort(),
      // The members' count begins anew whenever the last of them has gone.
      events: Math.max(events, this.here.log?.last ?? 0),
      last: newest === undefined ? last : { id: newest.event.id, time: newest.event.time },
      kept: this.here.log?.size ?? null,
    };
  }

  /** List the events that are kept before a number, newest first; null where the topic keeps none. */
  keptEvents(limit: number, before: number | null): { items: Kept[]; more: boolean; total: number } | null {
    if (this.here.log === null) return null;
    this.here.log.evict(Date.now());
    const items = this.here.log.newest(limit, before);
    const last = items.at(-1)?.number;
    return { items, more: last !== undefined && this.here.log.newest(1, last).length > 0, total: this.here.log.size };
  }

  /** When an id's event was stored, in milliseconds; null when it is not kept. */
  storedAt(id: string): number | null {
    this.here.log?.evict(Date.now());
    return this.here.log?.storedAt(id) ?? null;
  }

  /** Find where a client stands that comes back; null where the topic keeps nothing. */
  locate(start: Start): Standing | null {
    this.here.log?.evict(Date.now());
    if ("newest" in start) return this.here.log?.newestFrom(start.newest) ?? null;
    return this.here.log?.locate(start.lastId, start.storedAt) ?? null;
  }

  /** Return kept events behind a number. */
  read(after: number): Kept[] {
    return this.here.log?.read(after, PAGE_EVENTS) ?? [];
  }

  /** Say what has been written to a connection, and what waits for it; null when it is not here. */
  async figures(id: string): Promise<Known | null> {
    // It has been listed, and its socket is about to be opened: it is here, and nothing has been written to it.
    if (this.out.held.has(id) && this.here.members.get(id) === undefined) return NOTHING_YET;
    return (await this.asking.ask(id)) ?? this.parts.ask((part) => part.figures(id));
  }

  /** Of the connections that are listed here, return those that are not. */
  async missing(ids: readonly string[]): Promise<string[]> {
    const { members } = this.here;
    return this.parts.missing(ids.filter((id) => members.get(id) === undefined && !this.out.held.has(id)));
  }

  /** Close a connection, once it has been told why; false when it is not here. */
  async closeConnection(id: string, reason: string, retry: number): Promise<boolean> {
    const found = this.here.members.get(id);
    if (found === undefined)
      return (await this.parts.ask(async (part) => (await part.closeConnection(id, reason, retry)) || null)) ?? false;
    const told = { type: "close" as const, reason, retry };
    send(found.socket, isWebSocket(found.member.format) ? JSON.stringify(told) : controlMessage(told));
    await this.membership.end(id, CLOSE_NORMAL, reason);
    return true;
  }

  /** Let go of what is too old to be kept, or to be remembered. */
  override async alarm(): Promise<void> {
    const { log, answered, name } = this.here;
    const now = Date.now();
    const until = answered?.forget(now) ?? null;
    if (until !== null) await this.wakeBy(until);
    log?.evict(now);
    if (log === null) this.here.tidy(this.out.held.size);
    else if (log.size === 0) await this.here.list((directory) => directory.keep(name, false));
    else await this.keepUntil(0);
  }

  // What other objects of this class ask

  /** Hand an event to the connections of this part. */
  fanOut(event: Event, key: string, number: number | null): Handed {
    const { members, name } = this.here;
    members.published(event.id, event.time);
    const delivered = this.out.deliver(new Outgoing(event, key, name, number));
    return { delivered, connections: members.connections };
  }

  /** Take note of how many connections a part has. */
  report(part: number, connections: number): void {
    this.parts.take(part, connections);
    this.here.tidy(this.out.held.size);
  }

  /** Hold the topic for a connection whose socket another object has. */
  addRelay(home: string, id: string, node: string): void {
    this.here.ledger.addRelay(home, id, node);
  }

  removeRelay(home: string, id: string): void {
    this.here.ledger.removeRelay(home, id);
    this.here.tidy(this.out.held.size);
  }

  /** Hand an event of another topic to connections of this object. */
  relay(relayed: Relayed, ids: string[]): { gone: string[]; delivered: number } {
    return this.relays.take(relayed, ids);
  }

  // What the sockets bring

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const { id, format } = socket.deserializeAttachment() as Member;
    if (!isWebSocket(format)) {
      if (message === MORE) await this.membership.orComeBack(id, () => this.out.sendPage(id));
      else this.asking.answer(id, message as string);
      return;
    }
    const size = typeof message === "string" ? new TextEncoder().encode(message).byteLength : message.byteLength;
    if (size > MAX_MESSAGE_BYTES) {
      await this.membership.end(id, CLOSE_TOO_BIG, "message too big");
      return;
    }
    await this.membership.orComeBack(id, async () => {
      if (!(await this.commands.obey(id, message))) await this.membership.end(id, CLOSE_POLICY, "bad messages");
    });
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    // The runtime sends no close frame in answer by itself, and keeps the connection until there is one.
    reply(socket, code);
    await this.membership.gone(socket);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.membership.gone(socket);
  }

  /** List a topic that keeps its first event, and see to it that the oldest goes in time. */
  private async keepUntil(number: number): Promise<void> {
    if (number === 1 || (number > 0 && this.here.log?.size === 1) || this.unlisted) {
      this.unlisted = true;
      await this.here.list((directory) => directory.keep(this.here.name, true));
      this.unlisted = false;
    }
    const seconds = this.here.limits?.seconds ?? null;
    const oldest = this.here.log?.oldest ?? null;
    if (seconds !== null && oldest !== null) {
      // Not for each event alone: what is too old meanwhile is let go of by whoever looks.
      await this.wakeBy(oldest + seconds * 1000 + Math.min(seconds * ALARM_SLACK, MOST_SLACK_MS));
    }
  }

  /** Have the alarm ring at a time in milliseconds, or before. */
  private async wakeBy(time: number): Promise<void> {
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > time) await this.ctx.storage.setAlarm(time);
  }
}

function sum(handed: readonly Handed[], what: keyof Handed): number {
  return handed.reduce((total, each) => total + each[what], 0);
}

function reply(socket: WebSocket, code: number): void {
  try {
    socket.close(code === 1000 || (code >= 3000 && code <= 4999) ? code : CLOSE_NORMAL);
  } catch {
    // It has ended without a close frame: there is nobody to answer.
  }
}
