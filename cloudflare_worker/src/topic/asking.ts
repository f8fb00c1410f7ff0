/** What has been written to a connection and what waits for it: of a stream, the Worker that feeds it is asked. */

import { controlMessage, isWebSocket, type Figures } from "../wire/link";
import { send, type Members } from "./members";

const ASK_SECONDS = 1;

/** Figures as far as they are known. */
export type Known = { [Name in keyof Figures]: Figures[Name] | null };

export class Asking {
  // Those who ask for one connection at the same time share its answer.
  private readonly waiting = new Map<string, { known: Promise<Known>; answer: (figures: Figures) => void }>();

  constructor(private readonly members: Members) {}

  /** Take an answer. */
  answer(id: string, figures: string): void {
    this.waiting.get(id)?.answer(JSON.parse(figures) as Figures);
  }

  /** Return a connection's figures, null when it is not here. */
  async ask(id: string): Promise<Known | null> {
    const found = this.members.get(id);
    if (found === undefined) return null;
    if (isWebSocket(found.member.format)) {
      const { since, relayed, own } = found.member;
      const sent = relayed + (own ? this.members.counters.events - since : 0);
      // The platform does not tell what waits for a WebSocket.
      return { sent, pending: null, pending_bytes: null, behind_since: null };
    }
    const asked = this.waiting.get(id);
    if (asked !== undefined) return asked.known;
    if (!send(found.socket, controlMessage({ type: "ask" }))) {
      return { sent: 0, pending: 0, pending_bytes: 0, behind_since: null };
    }
    const { promise, resolve } = Promise.withResolvers<Known>();
    const timer = setTimeout(() => {
      resolve({ sent: null, pending: null, pending_bytes: null, behind_since: null });
    }, ASK_SECONDS * 1000);
    this.waiting.set(id, { known: promise, answer: resolve });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }
}
