/** What has been written to a connection and what waits for it: of a stream, the Worker that feeds it is asked. */

import { controlMessage, isWebSocket, type Figures } from "../wire/link";
import { send, type Members } from "./members";

const ASK_SECONDS = 1;

/** Figures as far as they are known. */
export type Known = { [Name in keyof Figures]: Figures[Name] | null };

export class Asking {
  private readonly waiting = new Map<string, (figures: Figures) => void>();

  constructor(private readonly members: Members) {}

  /** Take an answer. */
  answer(id: string, figures: string): void {
    this.waiting.get(id)?.(JSON.parse(figures) as Figures);
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
    if (!send(found.socket, controlMessage({ type: "ask" }))) {
      return { sent: 0, pending: 0, pending_bytes: 0, behind_since: null };
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        resolve({ sent: null, pending: null, pending_bytes: null, behind_since: null });
      }, ASK_SECONDS * 1000);
      this.waiting.set(id, (figures) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        resolve(figures);
      });
    });
  }
}
