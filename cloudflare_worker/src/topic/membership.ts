/** How a connection becomes a member of an object, and how it ceases to be one. */

import { refusal } from "../exceptions";
import { log } from "../logs";
import { isWebSocket, type Format, type Link, type Start } from "../wire/link";
import { CLOSE_TRY_AGAIN } from "../wire/websocket";
import type { Commands } from "./commands";
import type { Delivering } from "./delivering";
import type { Here } from "./here";
import { send, type Member } from "./members";
import type { Parts } from "./parts";
import type { Relays } from "./relays";

export class Membership {
  constructor(
    private readonly ctx: DurableObjectState,
    private readonly here: Here,
    private readonly out: Delivering,
    private readonly relays: Relays,
    private readonly parts: Parts,
    private readonly commands: Commands,
  ) {}

  /**
   * Take a socket in: a subscriber's own, or a link of a Worker.
   *
   * @throws Refused It is not taken now.
   */
  async open(link: Link): Promise<Response> {
    const { 0: outer, 1: inner } = new WebSocketPair();
    const { id, format, node, client } = link;
    // A link is this topic's alone; a client's own socket may hold others that keep history.
    const resume = client === undefined && this.here.limits === null ? undefined : link.resume;
    const member: Member = {
      id,
      format,
      node,
      own: format !== "tail",
      since: this.here.members.counters.events,
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
        // What it holds already, and what an answer that was lost may have listed. What fails again is told with the first.
        await this.left(id, format).catch(() => undefined);
        throw error;
      }
    }
    this.ctx.acceptWebSocket(inner);
    this.here.members.add(inner, member);
    if (client !== undefined) {
      send(inner, JSON.stringify({ type: "open", connection: id, topics: client.topics, node }));
      if (resume === undefined) this.out.release(id, new Map());
      // Whatever the client asks for meanwhile comes after.
      else this.ctx.waitUntil(this.orComeBack(id, () => this.catchUp(id, client.topics, resume)));
    } else if (resume !== undefined) {
      this.out.begin(id, resume);
    }
    if (format !== "tail") {
      try {
        await this.parts.report();
      } catch (error) {
        await this.end(id, CLOSE_TRY_AGAIN, "come back");
        throw error;
      }
    }
    return new Response(null, { status: 101, webSocket: outer });
  }

  /** Take note that a socket has ended. */
  async gone(socket: WebSocket): Promise<void> {
    const member = socket.deserializeAttachment() as Member;
    if (!member.ended) await this.left(member.id, member.format);
  }

  /** Do what a connection waits for. When another object fails it, it is closed rather than left to wait. */
  async orComeBack(id: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      log("error", "connection ended", { topic: this.here.name, connection: id, error: String(error) });
      await this.end(id, CLOSE_TRY_AGAIN, "the gateway could not do it; come back");
    }
  }

  /** Close a member's socket. */
  async end(id: string, code: number, reason: string): Promise<void> {
    const found = this.here.members.get(id);
    if (found === undefined) return;
    this.here.members.update(id, { ended: true });
    found.socket.close(code, reason);
    await this.left(id, found.member.format);
  }

  /** Take a member that has ended out of everything that knows it. */
  async left(id: string, format: Format): Promise<void> {
    // Not a member any more when its socket closed while the object slept: the rest is to be done all the same.
    this.here.members.remove(id);
    this.out.forget(id);
    if (format !== "tail") {
      const topics = isWebSocket(format) ? null : [this.here.name];
      await Promise.all([
        this.relays.drop(id),
        this.here.list((directory) => directory.detach(id, topics)),
        this.parts.report(),
      ]);
    }
    this.here.tidy(this.out.held.size);
  }

  private async catchUp(id: string, topics: readonly string[], resume: Start): Promise<void> {
    await this.commands.inTurn(id, () => this.out.catchUp(id, topics, resume));
  }

  private async register(id: string, node: string, client: NonNullable<Link["client"]>): Promise<void> {
    const { topics, address, userAgent } = client;
    await this.relays.hold(
      id,
      node,
      topics.filter((topic) => topic !== this.here.name),
    );
    const { home, settings } = this.here;
    const listed = await this.here.list((directory) =>
      directory.attach(
        { id, topics, transport: "websocket", node, home, client: address, userAgent },
        { all: settings.maxConnections, client: settings.maxConnectionsPerClient },
      ),
    );
    if (listed !== "listed") throw refusal(listed);
  }
}
