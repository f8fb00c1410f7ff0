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

export class Relays {
  constructor(
    private readonly here: Here,
    private readonly out: Delivering,
  ) {}

  /** Hold further topics for a connection of this object. */
  async hold(id: string, node: string, topics: readonly string[]): Promise<void> {
    const { home, ledger } = this.here;
    for (const topic of topics) ledger.addExtra(id, topic);
    await Promise.all(topics.map((topic) => this.here.stub(topic).addRelay(home, id, node)));
  }

  /** Let go of topics that are held for a connection; without `topics` of all. */
  async drop(id: string, topics = [...(this.here.ledger.extras.get(id) ?? [])]): Promise<void> {
    const { home, ledger } = this.here;
    for (const topic of topics) ledger.removeExtra(id, topic);
    await Promise.all(topics.map((topic) => this.here.stub(topic).removeRelay(home, id)));
  }

  /** Hand an event to the homes of the connections that this topic is held for; returns to how many it went. */
  async hand(relayed: Relayed): Promise<number> {
    const sent = await Promise.all(
      [...this.here.ledger.relays].map(async ([home, ids]) => {
        const { gone, delivered } = await this.here.stub(home).relay(relayed, [...ids.keys()]);
        for (const id of gone) this.here.ledger.removeRelay(home, id);
        return delivered;
      }),
    );
    return sent.reduce((sum, delivered) => sum + delivered, 0);
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
