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
import { problemOf } from "./problems";
import { settingsOf, type Env, type Settings } from "./settings";
import { Ledger } from "./topic/ledger";
import { Members, send, type Member } from "./topic/members";
import { controlMessage, eventMessage, isWebSocket, LINK_HEADER, Outgoing, type Figures, type Link } from "./wire/link";
import { encodeControl } from "./wire/sse";
import {
  CLOSE_NORMAL,
  CLOSE_POLICY,
  CLOSE_TOO_BIG,
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
const MOST_SEEN = 4096;

export class Topic extends DurableObject<Env> {
  private readonly settings: Settings;
  private readonly name: string;
  /** The object that makes the topic's order: this one, unless it is a part. */
  private readonly part: number | null;
  private readonly members: Members;
  private readonly ledger: Ledger;
  // One stub for each object: the calls of one stub arrive in their order.
  private readonly stubs = new Map<string, DurableObjectStub<Topic>>();
  private readonly directory: DurableObjectStub<Directory>;
  // Connections that are on their way in, and what comes for them meanwhile.
  private readonly opening = new Map<string, Outgoing[]>();
  private readonly asked = new Map<string, (figures: Figures) => void>();
  private readonly turns = new Map<string, Promise<void>>();
  // Events that came to a connection from one of its topics and may come again from another.
  private readonly seen = new Set<string>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.settings = settingsOf(env);
    const [name = "", part] = (ctx.id.name ?? "").split(PART);
    this.name = name;
    this.part = part === undefined ? null : Number(part);
    this.members = new Members(ctx.getWebSockets());
    this.ledger = new Ledger(ctx.storage.sql);
    this.directory = env.DIRECTORY.getByName(NAME);
    // Answered by the runtime: a client that asks for a sign of life wakes nobody.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('{"type":"ping"}', '{"type":"pong"}'));
  }

  // What Workers ask

  /** Open a socket: a subscriber's own, or a link of the Worker. */
  override async fetch(request: Request): Promise<Response> {
    const link = JSON.parse(decodeURIComponent(request.headers.get(LINK_HEADER) ?? "null")) as Link;
    if (link.format !== "tail" && this.members.connections + this.opening.size >= this.settings.topicSockets) {
      return this.full();
    }
    try {
      return await this.open(link);
    } catch (error) {
      return problemOf(error).response();
    } finally {
      this.opening.delete(link.id);
    }
  }

  /** Tell whether the topic exists, and whether anybody watches it. */
  look(): Look {
    return { exists: this.connections > 0, tails: this.members.tails };
  }

  /**
   * Hand an event to every connection of the topic.
   *
   * @param key Names the event where it has several topics; else empty.
   * @returns Null when the topic does not exist: nothing was delivered.
   */
  async publish(event: Event, key: string): Promise<Delivery | null> {
    const connections = this.connections;
    if (connections === 0) return null;
    this.members.published(event.id, event.time);
    const outgoing = new Outgoing(event, key);
    let delivered = this.deliver(outgoing);
    const others: Promise<number>[] = [];
    for (const [part, count] of this.ledger.parts) {
      if (count > 0) others.push(this.stub(this.nameOf(part)).fanOut(event, key));
    }
    for (const [home, ids] of this.ledger.relays) others.push(this.relayTo(home, [...ids.keys()], event, key));
    for (const count of await Promise.all(others)) delivered += count;
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
    return { connections: this.connections, nodes: [...nodes].sort(), ...this.members.counters };
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
    found.socket.close(CLOSE_NORMAL, reason);
    await this.left(id);
    return true;
  }

  // What other objects of this class ask

  /** Hand an event to the connections of this part. */
  fanOut(event: Event, key: string): number {
    this.members.published(event.id, event.time);
    return this.deliver(new Outgoing(event, key));
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
  relay(event: Event, key: string, topic: string, ids: string[]): { gone: string[]; delivered: number } {
    const outgoing = new Outgoing(event, key);
    const gone: string[] = [];
    let delivered = 0;
    for (const id of ids) {
      const found = this.members.get(id);
      const waiting = this.opening.get(id);
      if (waiting !== undefined) {
        if (this.first(id, key)) waiting.push(outgoing);
      } else if (found === undefined || !this.ledger.extras.get(id)?.has(topic)) {
        gone.push(id);
      } else if (this.first(id, key) && send(found.socket, outgoing.frame(found.member.format))) {
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
      this.asked.get(id)?.(JSON.parse(message as string) as Figures);
      return;
    }
    const size = typeof message === "string" ? new TextEncoder().encode(message).byteLength : message.byteLength;
    if (size > MAX_MESSAGE_BYTES) {
      socket.close(CLOSE_TOO_BIG, "message too big");
      await this.left(id);
      return;
    }
    // One command after the other: each answer tells what the connection holds then.
    const before = this.turns.get(id) ?? Promise.resolve();
    const turn = before.then(() => this.obey(id, socket, message));
    this.turns.set(id, turn);
    await turn;
    if (this.turns.get(id) === turn) this.turns.delete(id);
  }

  override async webSocketClose(socket: WebSocket): Promise<void> {
    await this.left((socket.deserializeAttachment() as Member).id);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.left((socket.deserializeAttachment() as Member).id);
  }

  private get connections(): number {
    return this.members.connections + this.ledger.relayed + this.ledger.parted;
  }

  private async open(link: Link): Promise<Response> {
    const { 0: outer, 1: inner } = new WebSocketPair();
    const { id, format, node, client } = link;
    const member: Member = {
      id,
      format,
      node,
      own: format !== "tail",
      since: this.members.counters.events,
      relayed: 0,
      bad: 0,
      badAt: 0,
    };
    if (client !== undefined) {
      const waiting: Outgoing[] = [];
      this.opening.set(id, waiting);
      await this.holdElsewhere(
        id,
        node,
        client.topics.filter((topic) => topic !== this.name),
      );
      const listed = await this.directory.attach(
        {
          id,
          topics: client.topics,
          transport: "websocket",
          node,
          home: this.ctx.id.name ?? "",
          client: client.address,
          userAgent: client.userAgent,
        },
        { all: this.settings.maxConnections, client: this.settings.maxConnectionsPerClient },
      );
      if (listed !== "listed") {
        await this.dropElsewhere(id);
        throw refusal(listed);
      }
      this.ctx.acceptWebSocket(inner);
      this.members.add(inner, member);
      send(inner, JSON.stringify({ type: "open", connection: id, topics: client.topics, node }));
      for (const outgoing of waiting) send(inner, outgoing.frame(format));
      this.opening.delete(id);
    } else {
      this.ctx.acceptWebSocket(inner);
      this.members.add(inner, member);
    }
    if (format !== "tail") await this.reportToWhole();
    return new Response(null, { status: 101, webSocket: outer });
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

  private deliver(outgoing: Outgoing): number {
    const { key } = outgoing;
    for (const [id, waiting] of this.opening) if (this.first(id, key)) waiting.push(outgoing);
    // Only a WebSocket gets one event from several objects through this one; a stream's Worker sees to that itself.
    return this.members.deliver(
      outgoing,
      (member) => key === "" || !this.ledger.extras.has(member.id) || this.first(member.id, key),
    );
  }

  private first(id: string, key: string): boolean {
    if (key === "") return true;
    const both = `${key} ${id}`;
    if (this.seen.has(both)) return false;
    if (this.seen.size >= MOST_SEEN) this.seen.delete(this.seen.values().next().value ?? "");
    this.seen.add(both);
    return true;
  }

  private async relayTo(home: string, ids: string[], event: Event, key: string): Promise<number> {
    const { gone, delivered } = await this.stub(home).relay(event, key, this.name, ids);
    for (const id of gone) this.ledger.removeRelay(home, id);
    return delivered;
  }

  private async obey(id: string, socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const found = this.members.get(id);
    if (found === undefined) return;
    try {
      const command = parseCommand(message, this.settings.maxTopics);
      const answer = await this.carryOut(found.member, command);
      if (found.member.bad > 0) this.members.update(id, { bad: 0 });
      send(socket, JSON.stringify(answer));
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      // A ping that the runtime answered was a good command too.
      const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
      const bad = (pinged >= found.member.badAt ? 0 : found.member.bad) + 1;
      this.members.update(id, { bad, badAt: Date.now() });
      send(socket, JSON.stringify({ type: "error", detail: error.message }));
      if (bad < MAX_BAD_MESSAGES) return;
      socket.close(CLOSE_POLICY, "bad messages");
      await this.left(id);
    }
  }

  private async carryOut(member: Member, command: Command): Promise<object> {
    if (command.type === "ping") return { type: "pong" };
    const { id } = member;
    const held = this.topicsOf(member);
    if (command.type === "subscribe") {
      const limit = this.settings.maxTopics;
      const added = command.topics.filter((topic) => !held.includes(topic));
      if (held.length + added.length > limit) {
        throw new InvalidInput(
          "invalid-topic",
          `A connection holds at most ${limit} topics; unsubscribe from some first.`,
        );
      }
      await this.holdElsewhere(
        id,
        member.node,
        added.filter((topic) => topic !== this.name),
      );
      if (added.includes(this.name)) await this.setOwn(id, true);
      await this.directory.subscribe(id, added);
      return { type: "subscribed", topics: this.topicsOf(member) };
    }
    const removed = command.topics.filter((topic) => held.includes(topic));
    await this.dropElsewhere(
      id,
      removed.filter((topic) => topic !== this.name),
    );
    if (removed.includes(this.name)) await this.setOwn(id, false);
    await this.directory.unsubscribe(id, removed);
    return { type: "unsubscribed", topics: this.topicsOf(member) };
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

  /** Take a member that has ended out of everything that knows it. */
  private async left(id: string): Promise<void> {
    const member = this.members.remove(id);
    if (member === undefined || member.format === "tail") return;
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
    if (this.members.size > 0 || this.opening.size > 0 || !this.ledger.empty) return;
    if (this.ledger.parts.size === 0 && this.part === null) return;
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

/** The name of a topic's object, or of one of its parts. */
export function objectName(topic: string, part: number | null): string {
  return part === null ? topic : `${topic}${PART}${part}`;
}

/** Why the directory did not list a connection, as its client is told. */
export function refusal(why: "ended" | "full" | "full-client"): Error {
  if (why === "full") return new Refused(503, "The gateway holds as many connections as it may; try again.");
  if (why === "full-client") return new Refused(429, "This address holds as many connections as it may; close some.");
  return new Refused(503, "The connection ended while it opened; try again.");
}
