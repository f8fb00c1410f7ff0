/**
 * A WebSocket with several topics: one object has its socket, its home. The objects of its other topics hold the topic
 * for it, and hand it their events through its home.
 */

import type { Event } from "../events";
import { Outgoing } from "../wire/link";
import type { Delivering } from "./delivering";
import type { Here } from "./here";
import { send } from "./members";

/** An event on its way to its connections' home. */
export interface Relayed {
  event: Event;
  key: string;
  /** By which topic it comes. */
  topic: string;
  /** Its number there, null where it is not kept. */
  number: number | null;
}

/** What became of an event in another object. */
export interface Handed {
  /** Writes to sockets. */
  delivered: number;
  /** Connections of the topic that it really has. */
  connections: number;
}

export class Relays {
  constructor(
    private readonly here: Here,
    private readonly out: Delivering,
  ) {}

  /** Hold further topics for a connection of this object. */
  async hold(id: string, node: string, topics: readonly string[]): Promise<void> {
    const { home, ledger } = this.here;
    for (const topic of topics) ledger.addExtra(id, topic);
    await Promise.all(topics.map((topic) => this.here.calls.to(topic, (whole) => whole.addRelay(home, id, node))));
  }

  /** Let go of topics that are held for a connection; without `topics` of all. */
  async drop(id: string, topics = [...(this.here.ledger.extras.get(id) ?? [])]): Promise<void> {
    const { home, ledger } = this.here;
    for (const topic of topics) ledger.removeExtra(id, topic);
    await Promise.all(topics.map((topic) => this.here.calls.to(topic, (whole) => whole.removeRelay(home, id))));
  }

  /** Hand an event to the homes of the connections that this topic is held for, home by home. */
  hand(relayed: Relayed): Promise<Handed>[] {
    const { calls, ledger } = this.here;
    return [...ledger.relays].map(async ([home, relays]) => {
      const asked = new Map(relays);
      const { gone, delivered } = await calls.to(home, (object) => object.relay(relayed, [...asked.keys()]));
      // One that has come again since it was asked for is another, and stays.
      for (const id of gone) ledger.removeRelay(home, id, asked.get(id));
      return { delivered, connections: asked.size - gone.length };
    });
  }

  /**
   * Write an event of another topic to connections of this object.
   *
   * @returns Those that are here no longer, and how many got it from this call.
   */
  take({ event, key, topic, number }: Relayed, ids: readonly string[]): { gone: string[]; delivered: number } {
    const { members, ledger } = this.here;
    const outgoing = new Outgoing(event, key, topic, number);
    const gone: string[] = [];
    let delivered = 0;
    for (const id of ids) {
      const found = members.get(id);
      if (!this.out.held.has(id) && (found === undefined || !ledger.extras.get(id)?.has(topic))) {
        gone.push(id);
      } else if (
        this.out.take(id, outgoing) &&
        found !== undefined &&
        send(found.socket, outgoing.frame(found.member.format))
      ) {
        members.update(id, { relayed: found.member.relayed + 1 });
        delivered += 1;
      }
    }
    return { gone, delivered };
  }
}
