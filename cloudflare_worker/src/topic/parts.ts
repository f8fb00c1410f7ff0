/** A topic over its bound of sockets: further objects take the next ones, and report how many they have. */

import type { Event } from "../events";
import type { Topic } from "../topic";
import type { Description } from "./answers";
import type { Here } from "./here";
import type { Handed } from "./relays";

export class Parts {
  constructor(private readonly here: Here) {}

  // Sockets on their way to a part. In memory alone: one that never arrives is no connection.
  private readonly coming = new Map<number, number>();
  // How often a part has reported.
  private readonly reports = new Map<number, number>();

  /** Hand an event to the parts that have connections, part by part. */
  hand(event: Event, key: string, number: number | null): Promise<Handed>[] {
    return this.taken.map(async (part) => {
      const reports = this.reports.get(part);
      const handed = await this.here.callPart(part, (object) => object.fanOut(event, key, number));
      // A part that has crashed could not report that its connections are gone. What it reported meanwhile is newer.
      if (reports === this.reports.get(part)) this.take(part, handed.connections);
      return handed;
    });
  }

  async describe(): Promise<Description[]> {
    return Promise.all(this.taken.map((part) => this.here.callPart(part, (object) => object.describe())));
  }

  /**
   * Answer one that asks for a socket here: name a part with room. One that is full itself sends back to the whole.
   *
   * @param beyond The part that sent back; none is 0.
   */
  full(beyond: number): Response {
    const { part: own, settings, ledger } = this.here;
    if (own !== null) return Response.json({ part: null, full: own });
    let part = beyond + 1;
    const sockets = () => (ledger.parts.get(part) ?? 0) + (this.coming.get(part) ?? 0);
    while (sockets() >= settings.topicSockets) part += 1;
    // Counted at once, so that a crowd that comes at the same moment spreads; the part's report says what came of it.
    this.coming.set(part, (this.coming.get(part) ?? 0) + 1);
    return Response.json({ part, full: 0 });
  }

  /** Tell the whole how many connections this part has. */
  async report(): Promise<void> {
    const { part, name, members } = this.here;
    if (part !== null) await this.here.calls.to(name, (whole) => whole.report(part, members.connections));
  }

  /** Take note of how many connections a part has. */
  take(part: number, connections: number): void {
    this.coming.delete(part);
    this.reports.set(part, (this.reports.get(part) ?? 0) + 1);
    this.here.ledger.setPart(part, connections);
  }

  /** Return the first answer that is one. */
  async ask<Answer>(ask: (part: DurableObjectStub<Topic>) => Promise<Answer | null>): Promise<Answer | null> {
    for (const part of this.taken) {
      const answer = await this.here.callPart(part, ask);
      if (answer !== null) return answer;
    }
    return null;
  }

  /** Of these connections, return those that no part has. */
  async missing(ids: readonly string[]): Promise<string[]> {
    let missing = [...ids];
    for (const part of this.taken) {
      if (missing.length === 0) break;
      missing = await this.here.callPart(part, (object) => object.missing(missing));
    }
    return missing;
  }

  /** The parts that have connections. */
  private get taken(): number[] {
    return [...this.here.ledger.parts].filter(([, connections]) => connections > 0).map(([part]) => part);
  }
}
