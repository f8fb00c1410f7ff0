/** A topic over its bound of sockets: further objects take the next ones, and report how many they have. */

import type { Topic } from "../topic";
import type { Here } from "./here";

export class Parts {
  constructor(private readonly here: Here) {}

  /** The parts that have connections. */
  get taken(): DurableObjectStub<Topic>[] {
    const { ledger } = this.here;
    return [...ledger.parts].filter(([, count]) => count > 0).map(([part]) => this.here.partOf(part));
  }

  /** Answer one that asks for a socket here: name a part with room. One that is full itself sends back to the whole. */
  full(): Response {
    const { part: own, settings, ledger } = this.here;
    if (own !== null) return Response.json({ part: null });
    let part = 1;
    while ((ledger.parts.get(part) ?? 0) >= settings.topicSockets) part += 1;
    // Counted at once, so that a crowd that comes at the same moment spreads; the part corrects it.
    ledger.setPart(part, (ledger.parts.get(part) ?? 0) + 1);
    return Response.json({ part });
  }

  /** Tell the whole how many connections this part has. */
  async report(): Promise<void> {
    const { part, name, members } = this.here;
    if (part !== null) await this.here.stub(name).report(part, members.connections);
  }

  /** Return the first answer that is one. */
  async ask<T>(ask: (part: DurableObjectStub<Topic>) => Promise<T | null>): Promise<T | null> {
    for (const part of this.taken) {
      const answer = await ask(part);
      if (answer !== null) return answer;
    }
    return null;
  }
}
