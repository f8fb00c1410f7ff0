/**
 * One topic: its subscribers as hibernating WebSockets, and the one order of its events.
 *
 * Past `GATEWAY_TOPIC_SOCKETS` sockets the topic is spread over parts, further objects of this class, which this one
 * hands each event on to: the order is still made here.
 */

import { DurableObject } from "cloudflare:workers";
import { NAME, type Directory } from "./directory";
import type { Event } from "./events";
import { InvalidInput, Refused } from "./exceptions";
import { Log, type Kept, type Standing } from "./history/log";
import type { Limits } from "./history/rules";
import { problemOf } from "./problems";
import { settingsOf, type Env, type Settings } from "./settings";
import { Delivering } from "./topic/delivering";
import { Ledger } from "./topic/ledger";
import { Members, send, type Member } from "./topic/members";
import {
  controlMessage,
  eventMessage,
  MORE,
  type Resume,
  type Start,
  isWebSocket,
  LINK_HEADER,
  Outgoing,
  type Figures,
  type Link,
} from "./wire/link";
import { encodeControl } from "./wire/sse";
import {
  CLOSE_NORMAL,
  CLOSE_POLICY,
  CLOSE_TOO_BIG,
  CLOSE_TRY_AGAIN,
  MAX_BAD_MESSAGES,
  MAX_MESSAGE_BYTES,
  parseCommand,
  type Command,
} from "./wire/websocket";

/** What a publisher's Worker asks before it reads a body. */
export interface Look {
  exists: boolean;
  tails: number;
}

/** What became of an event in one topic. */
export interface Delivery {
  /** The topic's connections. */
  connections: number;
  /** Writes to sockets. */
  delivered: number;
}

/** A topic as the lists show it. */
export interface Description {
  connections: number;
  nodes: string[];
  events: number;
  last: { id: string; time: string } | null;
  /** Number of events that are kept, null where none is. */
  kept: number | null;
}

/** A publish that was dropped, as tails see it: its headers, never its body. */
export interface Drop {
  topics: string[];
  id: string;
  time: string;
  reason: string;
}

// A newline is in no topic, so it divides a topic's name from the number of one of its parts.
const PART = "\n";
const ASK_SECONDS = 1;
/** Events of one page of a replay: a quarter of the smallest outbox that is sensible. */
const PAGE_EVENTS = 64;

export class Topic extends DurableObject<Env> {
  private readonly settings: Settings;
  private readonly name: string;
  /** Null for the object that makes the topic's order, else the number of this part. */
  private readonly part: number | null;
  private readonly members: Members;
  private readonly ledger: Ledger;
  /** What the topic keeps, null when it keeps nothing; the log is the whole's alone. */
  private readonly limits: Limits | null;
  private readonly log: Log | null;
  // One stub for each object: the calls of one stub arrive in their order.
  private readonly stubs = new Map<string, DurableObjectStub<Topic>>();
  private readonly directory: DurableObjectStub<Directory>;
  private readonly out: Delivering;
  private readonly asked = new Map<string, (figures: Figures) => void>();
  private readonly closed = new Set<string>();
  private readonly turns = new Map<string, Promise<void>>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.settings = settingsOf(env);
    const [name = "", part] = (ctx.id.name ?? "").split(PART);
    this.name = name;
    this.part = part === undefined ? null : Number(part);
    this.members = new Members(ctx.getWebSockets());
    this.ledger = new Ledger(ctx.storage.sql);
    this.limits = this.settings.history.of(name);
    this.log = this.limits === null || this.part !== null ? null : new Log(ctx.storage.sql, this.limits);
    this.directory = env.DIRECTORY.getByName(NAME);
    this.out = new Delivering({
      name: this.name,
      members: this.members,
      ledger: this.ledger,
      mostHeld: 4 * this.settings.outboxEvents,
      keeps: (topic) => this.settings.history.of(topic) !== null,
      source: (topic) => this.whole(topic),
      overflowed: (id) => {
        ctx.waitUntil(this.end(id, CLOSE_TRY_AGAIN, "too much came while what was missed was read"));
      },
    });
    // Answered by the runtime: a client that asks for a sign of life wakes nobody.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('{"type":"ping"}', '{"type":"pong"}'));
    for (const id of this.members.interrupted) ctx.waitUntil(this.end(id, CLOSE_TRY_AGAIN, "come back"));
  }

  // What Workers ask

  /** Open a socket: a subscriber's own, or a link of the Worker. */
  override async fetch(request: Request): Promise<Response> {
    const link = JSON.parse(decodeURIComponent(request.headers.get(LINK_HEADER) ?? "null")) as Link;
    if (link.format !== "tail" && this.members.size + this.out.held.size >= this.settings.topicSockets) {
      return this.full();
    }
    try {
      return await this.open(link);
    } catch (error) {
      return problemOf(error).response();
    }
  }

  /** Tell whether the topic exists, and whether anybody watches it. */
  look(): Look {
    return { exists: this.limits !== null || this.connections > 0, tails: this.members.tails };
  }

  /**
   * Keep an event, where the topic keeps history, and hand it to every connection.
   *
   * @param key Names the event where it has several topics; else empty.
   * @returns Null when the topic does not exist: nothing was delivered.
   */
  async publish(event: Event, key: string): Promise<Delivery | null> {
    const connections = this.connections;
    if (connections === 0 && this.log === null) return null;
    // Stored, counted and written without a pause between: the order in the log is the order on every socket.
    const number = this.log?.append(event, key, Date.now()) ?? null;
    this.members.published(event.id, event.time);
    let delivered = this.out.deliver(new Outgoing(event, key, this.name, number));
    const others: Promise<number>[] = [];
    for (const [part, count] of this.ledger.parts) {
      if (count > 0) others.push(this.stub(this.nameOf(part)).fanOut(event, key, number));
    }
    for (const [home, ids] of this.ledger.relays) others.push(this.relayTo(home, [...ids.keys()], event, key, number));
    for (const count of await Promise.all(others)) delivered += count;
    if (number !== null) await this.keepUntil(number);
    return { connections, delivered };
  }

  /** Show a dropped publish to the tails. */
  drop(drop: Drop): void {
    this.members.tell(eventMessage("", encodeControl("dropped", drop)));
  }

  async describe(): Promise<Description> {
    const nodes = new Set(this.members.nodes());
    for (const ids of this.ledger.relays.values()) for (const node of ids.values()) nodes.add(node);
    const parts = [...this.ledger.parts].filter(([, count]) => count > 0);
    for (const part of await Promise.all(parts.map(([part]) => this.stub(this.nameOf(part)).describe()))) {
      for (const node of part.nodes) nodes.add(node);
    }
    const { events, last } = this.members.counters;
    const [newest] = this.log?.newest(1, null) ?? [];
    return {
      connections: this.connections,
      nodes: [...nodes].sort(),
      // The members' count begins anew whenever the last of them has gone.
      events: Math.max(events, this.log?.last ?? 0),
      last: newest === undefined ? last : { id: newest.event.id, time: newest.event.time },
      kept: this.log?.size ?? null,
    };
  }

  /** List the events that are kept before a number, newest first; null where the topic keeps none. */
  keptEvents(limit: number, before: number | null): { items: Kept[]; more: boolean; total: number } | null {
    if (this.log === null) return null;
    const items = this.log.newest(limit, before);
    const last = items.at(-1)?.number;
    return { items, more: last !== undefined && this.log.newest(1, last).length > 0, total: this.log.size };
  }

  /** When an id's event was stored, in milliseconds; null when it is not kept. */
  storedAt(id: string): number | null {
    return this.log?.storedAt(id) ?? null;
  }

  /** Find where a client stands that comes back; null where the topic keeps nothing. */
  locate(start: Start): Standing | null {
    if ("newest" in start) return this.log?.newestFrom(start.newest) ?? null;
    return this.log?.locate(start.lastId, start.storedAt) ?? null;
  }

  /** Return kept events behind a number. */
  read(after: number): Kept[] {
    return this.log?.read(after, PAGE_EVENTS) ?? [];
  }

  /**
   * Say what has been written to a connection, and what waits for it.
   *
   * @returns Null when the connection is not here. The platform does not tell what waits for a WebSocket: those are null.
   */
  async figures(id: string): Promise<{ [Name in keyof Figures]: Figures[Name] | null } | null> {
    const found = this.members.get(id);
    if (found === undefined) return this.inParts((part) => part.figures(id));
    if (isWebSocket(found.member.format)) {
      const { since, relayed, own } = found.member;
      const sent = relayed + (own ? this.members.counters.events - since : 0);
      return { sent, pending: null, pending_bytes: null, behind_since: null };
    }
    const none = { sent: null, pending: null, pending_bytes: null, behind_since: null };
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.asked.delete(id);
        resolve(none);
      }, ASK_SECONDS * 1000);
      this.asked.set(id, (figures) => {
        clearTimeout(timer);
        this.asked.delete(id);
        resolve(figures);
      });
      if (!send(found.socket, controlMessage({ type: "ask" })))
        this.asked.get(id)?.({ sent: 0, pending: 0, pending_bytes: 0, behind_since: null });
    });
  }

  /** Close a connection, once it has been told why; false when it is not here. */
  async closeConnection(id: string, reason: string, retry: number): Promise<boolean> {
    const found = this.members.get(id);
    if (found === undefined)
      return (await this.inParts(async (part) => (await part.closeConnection(id, reason, retry)) || null)) ?? false;
    const told = { type: "close" as const, reason, retry };
    send(found.socket, isWebSocket(found.member.format) ? JSON.stringify(told) : controlMessage(told));
    await this.end(id, CLOSE_NORMAL, reason);
    return true;
  }

  /** Let go of what is too old to be kept. */
  override async alarm(): Promise<void> {
    if (this.log === null) return;
    this.log.evict(Date.now());
    if (this.log.size === 0) await this.directory.keep(this.name, false);
    else await this.keepUntil(0);
  }

  // What other objects of this class ask

  /** Hand an event to the connections of this part. */
  fanOut(event: Event, key: string, number: number | null): number {
    this.members.published(event.id, event.time);
    return this.out.deliver(new Outgoing(event, key, this.name, number));
  }

  /** Take note of how many connections a part has. */
  report(part: number, connections: number): void {
    this.ledger.setPart(part, connections);
    this.tidy();
  }

  /** Hold the topic for a connection whose socket another object has. */
  addRelay(home: string, id: string, node: string): void {
    this.ledger.addRelay({ home, id, node });
  }

  removeRelay(home: string, id: string): void {
    this.ledger.removeRelay(home, id);
    this.tidy();
  }

  /**
   * Hand an event of another topic to connections of this object.
   *
   * @returns Those that are here no longer, and how many got it from this call.
   */
  relay(
    relayed: { event: Event; key: string; topic: string; number: number | null },
    ids: string[],
  ): { gone: string[]; delivered: number } {
    const outgoing = new Outgoing(relayed.event, relayed.key, relayed.topic, relayed.number);
    const gone: string[] = [];
    let delivered = 0;
    for (const id of ids) {
      const found = this.members.get(id);
      if (!this.out.held.has(id) && (found === undefined || !this.ledger.extras.get(id)?.has(relayed.topic))) {
        gone.push(id);
      } else if (
        this.out.take(id, outgoing) &&
        found !== undefined &&
        send(found.socket, outgoing.frame(found.member.format))
      ) {
        this.members.update(id, { relayed: found.member.relayed + 1 });
        delivered += 1;
      }
    }
    return { gone, delivered };
  }

  // What the sockets bring

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const { id, format } = socket.deserializeAttachment() as Member;
    if (!isWebSocket(format)) {
      if (message === MORE) await this.out.sendPage(id);
      else this.asked.get(id)?.(JSON.parse(message as string) as Figures);
      return;
    }
    const size = typeof message === "string" ? new TextEncoder().encode(message).byteLength : message.byteLength;
    if (size > MAX_MESSAGE_BYTES) {
      await this.end(id, CLOSE_TOO_BIG, "message too big");
      return;
    }
    // One command after the other: each answer tells what the connection holds then.
    const before = this.turns.get(id) ?? Promise.resolve();
    const turn = before.then(() => this.obey(id, socket, message));
    this.turns.set(id, turn);
    await turn;
    if (this.turns.get(id) === turn) this.turns.delete(id);
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    const member = socket.deserializeAttachment() as Member;
    // The runtime sends no close frame in answer by itself, and keeps the connection until there is one.
    reply(socket, code);
    // One that this object has closed has been taken out of everything already.
    if (!this.closed.delete(member.id)) await this.left(member.id, member);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    const member = socket.deserializeAttachment() as Member;
    await this.left(member.id, member);
  }

  private get connections(): number {
    return this.members.connections + this.ledger.relayed + this.ledger.parted;
  }

  private async open(link: Link): Promise<Response> {
    const { 0: outer, 1: inner } = new WebSocketPair();
    const { id, format, node, client } = link;
    // A link is this topic's alone; a client's own socket may hold others that keep history.
    const resume = client === undefined && this.limits === null ? undefined : link.resume;
    const member: Member = {
      id,
      format,
      node,
      own: format !== "tail",
      since: this.members.counters.events,
      relayed: 0,
      bad: 0,
      badAt: 0,
      resuming: resume !== undefined,
    };
    // From here on, what is published waits: first comes `open`, then what the client missed.
    if (client !== undefined || resume !== undefined) this.out.held.begin(id);
    if (client !== undefined) {
      try {
        await this.register(id, node, client);
      } catch (error) {
        this.out.held.end(id);
        await this.dropElsewhere(id);
        throw error;
      }
    }
    this.ctx.acceptWebSocket(inner);
    this.members.add(inner, member);
    if (client !== undefined) {
      send(inner, JSON.stringify({ type: "open", connection: id, topics: client.topics, node }));
      if (resume === undefined) this.out.release(id, new Map());
      else this.ctx.waitUntil(this.out.catchUp(id, client.topics, resume));
    } else if (resume !== undefined) {
      this.out.begin(id, resume);
    }
    if (format !== "tail") await this.reportToWhole();
    return new Response(null, { status: 101, webSocket: outer });
  }

  private async register(id: string, node: string, client: NonNullable<Link["client"]>): Promise<void> {
    const { topics, address, userAgent } = client;
    await this.holdElsewhere(
      id,
      node,
      topics.filter((topic) => topic !== this.name),
    );
    const listed = await this.directory.attach(
      { id, topics, transport: "websocket", node, home: this.ctx.id.name ?? "", client: address, userAgent },
      { all: this.settings.maxConnections, client: this.settings.maxConnectionsPerClient },
    );
    if (listed !== "listed") throw refusal(listed);
  }

  /** Name a part with room; a part that is full itself sends back to the whole. */
  private full(): Response {
    if (this.part !== null) return Response.json({ part: null });
    const bound = this.settings.topicSockets;
    let part = 1;
    while ((this.ledger.parts.get(part) ?? 0) >= bound) part += 1;
    // Counted at once, so that a crowd that comes at the same moment spreads; the part corrects it.
    this.ledger.setPart(part, (this.ledger.parts.get(part) ?? 0) + 1);
    return Response.json({ part });
  }

  /** List a topic that keeps its first event, and see to it that the oldest goes in time. */
  private async keepUntil(number: number): Promise<void> {
    if (number === 1 || (number > 0 && this.log?.size === 1)) await this.directory.keep(this.name, true);
    const seconds = this.limits?.seconds ?? null;
    const oldest = this.log?.oldest ?? null;
    if (seconds === null || oldest === null || (await this.ctx.storage.getAlarm()) !== null) return;
    await this.ctx.storage.setAlarm(oldest + seconds * 1000 + 1);
  }

  private async relayTo(
    home: string,
    ids: string[],
    event: Event,
    key: string,
    number: number | null,
  ): Promise<number> {
    const { gone, delivered } = await this.stub(home).relay({ event, key, topic: this.name, number }, ids);
    for (const id of gone) this.ledger.removeRelay(home, id);
    return delivered;
  }

  private async obey(id: string, socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const found = this.members.get(id);
    if (found === undefined) return;
    try {
      const command = parseCommand(message, this.settings.maxTopics);
      const then = await this.carryOut(found.member, command);
      if (found.member.bad > 0) this.members.update(id, { bad: 0 });
      await then();
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      // A ping that the runtime answered was a good command too.
      const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
      const bad = (pinged >= found.member.badAt ? 0 : found.member.bad) + 1;
      this.members.update(id, { bad, badAt: Date.now() });
      send(socket, JSON.stringify({ type: "error", detail: error.message }));
      if (bad < MAX_BAD_MESSAGES) return;
      await this.end(id, CLOSE_POLICY, "bad messages");
    }
  }

  /** Do what a command asks; the answer is then still to be written. */
  private async carryOut(member: Member, command: Command): Promise<() => Promise<void> | void> {
    const { id } = member;
    const answer = (value: object) => () => this.say(id, value);
    if (command.type === "ping") return answer({ type: "pong" });
    const before = this.topicsOf(member);
    if (command.type === "unsubscribe") {
      const removed = command.topics.filter((topic) => before.includes(topic));
      await this.dropElsewhere(
        id,
        removed.filter((topic) => topic !== this.name),
      );
      if (removed.includes(this.name)) await this.setOwn(id, false);
      await this.directory.unsubscribe(id, removed);
      return answer({ type: "unsubscribed", topics: this.topicsOf(member) });
    }
    const limit = this.settings.maxTopics;
    const added = command.topics.filter((topic) => !before.includes(topic));
    if (before.length + added.length > limit) {
      throw new InvalidInput(
        "invalid-topic",
        `A connection holds at most ${limit} topics; unsubscribe from some first.`,
      );
    }
    const resume = command.lastId === null ? null : await this.resumeOf(command.lastId, added);
    if (resume !== null) {
      this.out.held.begin(id);
      this.members.update(id, { resuming: true });
    }
    await this.holdElsewhere(
      id,
      member.node,
      added.filter((topic) => topic !== this.name),
    );
    if (added.includes(this.name)) await this.setOwn(id, true);
    await this.directory.subscribe(id, added);
    return async () => {
      this.say(id, { type: "subscribed", topics: this.topicsOf(member) });
      if (resume !== null) await this.out.catchUp(id, added, resume);
    };
  }

  private say(id: string, value: object): void {
    const found = this.members.get(id);
    if (found !== undefined) send(found.socket, JSON.stringify(value));
  }

  private async resumeOf(lastId: string, topics: readonly string[]): Promise<Resume> {
    const kept = topics.filter((topic) => this.settings.history.of(topic) !== null);
    return {
      lastId,
      storedAt: newestOf(await Promise.all(kept.map(async (topic) => this.whole(topic).storedAt(lastId)))),
    };
  }

  private async setOwn(id: string, own: boolean): Promise<void> {
    const member = this.members.get(id)?.member;
    if (member === undefined) return;
    const { events } = this.members.counters;
    const relayed = own ? member.relayed : member.relayed + events - member.since;
    this.members.update(id, { own, relayed, since: events });
    await this.reportToWhole();
  }

  private topicsOf(member: Member): string[] {
    return [...(member.own ? [this.name] : []), ...(this.ledger.extras.get(member.id) ?? [])];
  }

  private async holdElsewhere(id: string, node: string, topics: readonly string[]): Promise<void> {
    const home = this.ctx.id.name ?? "";
    for (const topic of topics) this.ledger.addExtra(id, topic);
    await Promise.all(topics.map((topic) => this.stub(topic).addRelay(home, id, node)));
  }

  private async dropElsewhere(id: string, topics = [...(this.ledger.extras.get(id) ?? [])]): Promise<void> {
    const home = this.ctx.id.name ?? "";
    for (const topic of topics) this.ledger.removeExtra(id, topic);
    await Promise.all(topics.map((topic) => this.stub(topic).removeRelay(home, id)));
  }

  /** Close a member's socket. */
  private async end(id: string, code: number, reason: string): Promise<void> {
    const found = this.members.get(id);
    if (found === undefined) return;
    this.closed.add(id);
    found.socket.close(code, reason);
    await this.left(id, found.member);
  }

  /** Take a member that has ended out of everything that knows it. */
  private async left(id: string, member: Member): Promise<void> {
    // Not a member any more when its socket closed while the object slept: the rest is to be done all the same.
    this.members.remove(id);
    this.out.forget(id);
    if (member.format === "tail") return;
    const websocket = isWebSocket(member.format);
    await Promise.all([
      this.dropElsewhere(id),
      this.directory.detach(id, websocket ? null : [this.name]),
      this.reportToWhole(),
    ]);
    this.tidy();
  }

  private async reportToWhole(): Promise<void> {
    if (this.part !== null) await this.stub(this.name).report(this.part, this.members.connections);
  }

  /** Keep nothing where nobody is left: an object without storage costs nothing. */
  private tidy(): void {
    if (
      this.members.size > 0 ||
      this.out.held.size > 0 ||
      this.log !== null ||
      !this.ledger.stored ||
      !this.ledger.empty
    )
      return;
    this.ledger.forget();
    void this.ctx.storage.deleteAll();
  }

  private async inParts<T>(ask: (part: DurableObjectStub<Topic>) => Promise<T | null>): Promise<T | null> {
    for (const [part, count] of this.ledger.parts) {
      const answer = count > 0 ? await ask(this.stub(this.nameOf(part))) : null;
      if (answer !== null) return answer;
    }
    return null;
  }

  /** The object that makes a topic's order. */
  private whole(topic: string): Topic | DurableObjectStub<Topic> {
    return topic === this.name && this.part === null ? this : this.stub(topic);
  }

  private nameOf(part: number): string {
    return `${this.name}${PART}${part}`;
  }

  private stub(name: string): DurableObjectStub<Topic> {
    let stub = this.stubs.get(name);
    if (stub === undefined) {
      stub = this.env.TOPICS.getByName(name);
      this.stubs.set(name, stub);
    }
    return stub;
  }
}

function reply(socket: WebSocket, code: number): void {
  try {
    socket.close(code === 1000 || (code >= 3000 && code <= 4999) ? code : CLOSE_NORMAL);
  } catch {
    // It has ended without a close frame: there is nobody to answer.
  }
}

/** The name of a topic's object, or of one of its parts. */
export function objectName(topic: string, part: number | null): string {
  return part === null ? topic : `${topic}${PART}${part}`;
}

/** When the id was stored last in any of the topics; null when in none. */
export function newestOf(times: readonly (number | null)[]): number | null {
  return times.reduce((newest, time) => (time !== null && time > (newest ?? 0) ? time : newest), null);
}

/** Why the directory did not list a connection, as its client is told. */
export function refusal(why: "ended" | "full" | "full-client"): Error {
  if (why === "full") return new Refused(503, "The gateway holds as many connections as it may; try again.");
  if (why === "full-client") return new Refused(429, "This address holds as many connections as it may; close some.");
  return new Refused(503, "The connection ended while it opened; try again.");
}
