/** What the clients of an object's WebSockets ask for: one command after the other, each answered. */

import { InvalidInput } from "../exceptions";
import { newestOf, type Resume } from "../wire/link";
import { MAX_BAD_MESSAGES, parseCommand, type Command } from "../wire/websocket";
import type { Delivering } from "./delivering";
import type { Here } from "./here";
import { send, type Member } from "./members";
import type { Parts } from "./parts";
import type { Relays } from "./relays";

export class Commands {
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(
    private readonly here: Here,
    private readonly out: Delivering,
    private readonly relays: Relays,
    private readonly parts: Parts,
    private readonly pingedAt: (socket: WebSocket) => number,
  ) {}

  /** Carry out one message of a client; false when it was one bad message too many. */
  async obey(id: string, message: string | ArrayBuffer): Promise<boolean> {
    return this.inTurn(id, () => this.carry(id, message));
  }

  /** Do something for a client when all that was begun for it before is done: each answer tells what it holds then. */
  async inTurn<Result>(id: string, act: () => Promise<Result>): Promise<Result> {
    const turn = (this.turns.get(id) ?? Promise.resolve()).then(act);
    // What fails is told to whoever asked for it, and keeps nobody else from their turn.
    const ended = turn.catch(() => undefined);
    this.turns.set(id, ended);
    try {
      return await turn;
    } finally {
      if (this.turns.get(id) === ended) this.turns.delete(id);
    }
  }

  private async carry(id: string, message: string | ArrayBuffer): Promise<boolean> {
    const found = this.here.members.get(id);
    if (found === undefined) return true;
    const { member, socket } = found;
    try {
      const command = parseCommand(message, this.here.settings.maxTopics);
      const answer = await this.carryOut(member, command);
      if (member.bad > 0) this.here.members.update(id, { bad: 0 });
      await answer();
      return true;
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      // A ping that the runtime answered was a good command too.
      const bad = (this.pingedAt(socket) >= member.badAt ? 0 : member.bad) + 1;
      this.here.members.update(id, { bad, badAt: Date.now() });
      send(socket, JSON.stringify({ type: "error", detail: error.message }));
      return bad < MAX_BAD_MESSAGES;
    }
  }

  /** Do what a command asks; the answer is then still to be written. */
  private async carryOut(member: Member, command: Command): Promise<() => Promise<void> | void> {
    switch (command.type) {
      case "ping":
        return () => this.say(member.id, { type: "pong" });
      case "unsubscribe":
        return this.unsubscribe(member, command.topics);
      case "subscribe":
        return this.subscribe(member, command.topics, command.lastId);
    }
  }

  private async unsubscribe(member: Member, topics: readonly string[]): Promise<() => void> {
    const before = this.topicsOf(member);
    const removed = topics.filter((topic) => before.includes(topic));
    await this.relays.drop(
      member.id,
      removed.filter((topic) => topic !== this.here.name),
    );
    if (removed.includes(this.here.name)) await this.setOwn(member.id, false);
    await this.here.list((directory) => directory.unsubscribe(member.id, removed));
    return () => this.say(member.id, { type: "unsubscribed", topics: this.topicsOf(member) });
  }

  private async subscribe(
    member: Member,
    topics: readonly string[],
    lastId: string | null,
  ): Promise<() => Promise<void>> {
    const { id, node } = member;
    const limit = this.here.settings.maxTopics;
    const before = this.topicsOf(member);
    const added = topics.filter((topic) => !before.includes(topic));
    if (before.length + added.length > limit) {
      throw new InvalidInput(
        "invalid-topic",
        `A connection holds at most ${limit} topics; unsubscribe from some first.`,
      );
    }
    const resume = lastId === null ? null : await this.resumeOf(lastId, added);
    if (resume !== null) {
      this.out.held.begin(id);
      this.here.members.update(id, { resuming: true });
    }
    await this.relays.hold(
      id,
      node,
      added.filter((topic) => topic !== this.here.name),
    );
    if (added.includes(this.here.name)) await this.setOwn(id, true);
    await this.here.list((directory) => directory.subscribe(id, added));
    return async () => {
      this.say(id, { type: "subscribed", topics: this.topicsOf(member) });
      if (resume !== null) await this.out.catchUp(id, added, resume);
    };
  }

  private say(id: string, value: object): void {
    const found = this.here.members.get(id);
    if (found !== undefined) send(found.socket, JSON.stringify(value));
  }

  private async resumeOf(lastId: string, topics: readonly string[]): Promise<Resume> {
    const kept = topics.filter((topic) => this.here.keeps(topic));
    return {
      lastId,
      storedAt: newestOf(await Promise.all(kept.map(async (topic) => this.here.past(topic).storedAt(lastId)))),
    };
  }

  private async setOwn(id: string, own: boolean): Promise<void> {
    const { members } = this.here;
    const member = members.get(id)?.member;
    if (member === undefined) return;
    const { events } = members.counters;
    const relayed = own ? member.relayed : member.relayed + events - member.since;
    members.update(id, { own, relayed, since: events });
    await this.parts.report();
  }

  private topicsOf(member: Member): string[] {
    return [...(member.own ? [this.here.name] : []), ...(this.here.ledger.extras.get(member.id) ?? [])];
  }
}
