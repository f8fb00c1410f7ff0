/** One stream's bounded queue and its slow-reader policy (contract §4.4). */

import { rfc3339 } from "./events";
import type { Settings } from "./settings";
import type { Figures } from "./wire/link";
import { encodeControl } from "./wire/sse";

interface Waiting {
  bytes: Uint8Array;
  /** The connection's topics that the event belongs to: what a gap would name. Empty for the gateway's own events. */
  topics: readonly string[];
}

/** Bytes that wait are joined up to this size for one write. */
const JOIN_BYTES = 65_536;

/** So many keep-alives long a client may take nothing of what waits for it. */
const STALLED_BEATS = 2;

/** Most milliseconds between the two parts of a keep-alive: time for a reset to come back. */
const COMMENT_MS = 1000;

export class Outbox {
  sent = 0;
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  private readonly queue: Waiting[] = [];
  private readonly gaps = new Map<string, number>();
  private queuedBytes = 0;
  private writing = 0;
  private writingEvents = 0;
  private behindSince: number | null = null;
  private opened = false;
  private ended = false;
  private finishing = false;
  /** When the last write was taken, and when the one began that has not been yet; in milliseconds. */
  private wroteAt = Date.now();
  private writingSince = 0;
  private onDrain: (() => void) | null = null;
  private finishComment: (() => void) | null = null;

  /**
   * @param writable The response's body.
   * @param onEnd Called once, when the client has gone or the stream has been closed.
   * @param onGap Called with the number of events that the slow-reader policy dropped.
   */
  constructor(
    writable: WritableStream<Uint8Array>,
    private readonly settings: Settings,
    private readonly onEnd: () => void,
    private readonly onGap: (events: number) => void,
  ) {
    this.writer = writable.getWriter();
    this.writer.closed.then(
      () => {
        this.end();
      },
      () => {
        this.end();
      },
    );
  }

  /** Write the opening frame; what was put before follows. */
  open(first: string): void {
    const bytes = encode(first);
    this.queue.unshift({ bytes, topics: [] });
    this.queuedBytes += bytes.byteLength;
    this.opened = true;
    this.pump();
  }

  /** Append one frame and apply the limits. */
  put(frame: string, topics: readonly string[] = []): void {
    if (this.ended || this.finishing) return;
    this.finishComment?.();
    const bytes = encode(frame);
    this.queue.push({ bytes, topics });
    this.queuedBytes += bytes.byteLength;
    this.pump();
    if (this.queue.length > this.settings.outboxEvents || this.queuedBytes + this.writing > this.settings.outboxBytes) {
      // One event alone may be larger than the limit: it is not the reader's fault while nothing else waits.
      if (this.queue.length > 0) this.overflow();
    }
  }

  /** Wait until nothing waits, or the stream has ended. */
  async drained(): Promise<void> {
    while (!this.ended && (this.queue.length > 0 || this.writing > 0)) {
      await new Promise<void>((resolve) => {
        this.onDrain = resolve;
      });
    }
  }

  /**
   * Write a comment when nothing has been written for a keep-alive's time, and end a stream whose client takes nothing.
   *
   * It goes in two writes: the first to a client that has gone is taken, and answered with a reset; the second finds that.
   *
   * @returns After how many milliseconds to be called again.
   */
  beat(comment: string): number {
    const period = this.settings.heartbeatSeconds * 1000;
    const between = Math.min(COMMENT_MS, period / 2);
    const now = Date.now();
    if (this.writing > 0) {
      // Its client is half-open, or left before it took anything.
      if (now - this.writingSince >= STALLED_BEATS * period) this.reset();
      return period;
    }
    const due = this.wroteAt + period - now;
    if (this.finishComment !== null) {
      this.finishComment();
      return period - between;
    }
    if (due > between || !this.opened) return Math.max(due - between, between);
    const middle = comment.length - 2;
    this.put(comment.slice(0, middle));
    // An event may come between: the comment's line must have ended before it.
    this.finishComment = () => {
      this.finishComment = null;
      this.put(comment.slice(middle));
    };
    return between;
  }

  figures(): Figures {
    const pending = this.queue.filter(({ topics }) => topics.length > 0).length + this.writingEvents;
    return {
      sent: this.sent - pending,
      pending,
      pending_bytes: this.queuedBytes + this.writing,
      behind_since: this.behindSince === null ? null : rfc3339(this.behindSince),
    };
  }

  /** End the stream once what waits has been written; what is put from now on is left out. */
  finish(): void {
    if (this.finishing) return;
    if (this.queue.length > 0 || this.writing > 0) {
      setTimeout(() => {
        this.reset();
      }, 2000);
    }
    this.finishing = true;
    this.pump();
  }

  /** End it at once. */
  reset(): void {
    void this.writer.abort(new Error("slow reader")).catch(() => undefined);
    this.end();
  }

  private pump(): void {
    if (!this.opened || this.ended || this.writing > 0) return;
    this.tellGaps();
    if (this.queue.length === 0) {
      this.behindSince = null;
      this.onDrain?.();
      if (this.finishing) void this.writer.close().catch(() => undefined);
      return;
    }
    const taken = this.take();
    this.writing = taken.bytes.byteLength;
    this.writingEvents = taken.events;
    this.writingSince = Date.now();
    this.writer.write(taken.bytes).then(
      () => {
        this.wroteAt = Date.now();
        this.writing = 0;
        this.writingEvents = 0;
        this.pump();
      },
      () => {
        this.end();
      },
    );
    this.behindSince ??= Date.now();
  }

  private take(): { bytes: Uint8Array; events: number } {
    const parts: Uint8Array[] = [];
    let size = 0;
    let events = 0;
    for (;;) {
      const next = this.queue[0];
      if (next === undefined || (size > 0 && size + next.bytes.byteLength > JOIN_BYTES)) break;
      this.queue.shift();
      parts.push(next.bytes);
      size += next.bytes.byteLength;
      if (next.topics.length > 0) events += 1;
    }
    this.queuedBytes -= size;
    const joined = new Uint8Array(size);
    let offset = 0;
    for (const part of parts) {
      joined.set(part, offset);
      offset += part.byteLength;
    }
    return { bytes: joined, events };
  }

  private overflow(): void {
    if (this.settings.slowReader === "disconnect") {
      this.reset();
      return;
    }
    let dropped = 0;
    while (
      this.queue.length > this.settings.outboxEvents ||
      this.queuedBytes + this.writing > this.settings.outboxBytes
    ) {
      const index = this.queue.findIndex(({ topics }) => topics.length > 0);
      if (index < 0) break;
      const [oldest] = this.queue.splice(index, 1);
      if (oldest === undefined) break;
      this.queuedBytes -= oldest.bytes.byteLength;
      for (const topic of oldest.topics) this.gaps.set(topic, (this.gaps.get(topic) ?? 0) + 1);
      dropped += 1;
    }
    this.sent -= dropped;
    if (dropped > 0) this.onGap(dropped);
  }

  private tellGaps(): void {
    if (this.gaps.size === 0) return;
    const frames = [...this.gaps].map(([topic, missed]) =>
      encodeControl("gateway.gap", { topic, missed, reason: "slow-reader" }),
    );
    this.gaps.clear();
    const bytes = encode(frames.join(""));
    this.queue.unshift({ bytes, topics: [] });
    this.queuedBytes += bytes.byteLength;
  }

  private end(): void {
    if (this.ended) return;
    this.ended = true;
    this.queue.length = 0;
    this.onDrain?.();
    this.onEnd();
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
