import { address, ApiError, send } from "@/shared/api/client";
import { SseParser } from "@/shared/sse";

import { notice, readMessage, type Entry } from "./entries";

export type Status =
  | { state: "connecting" }
  | { state: "live"; node: string }
  | { state: "waiting"; why: string; until: number }
  | { state: "refused"; why: string };

/** The gateway writes a comment every `GATEWAY_HEARTBEAT_SECONDS` (15); twice as long without a byte, and it is gone. */
const SILENCE_MS = 40_000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;

interface Follow {
  topic: string;
  /** How many of the events that the topic keeps come first; 0 for none. */
  last?: number;
  signal: AbortSignal;
  onEntry: (entry: Entry) => void;
  onStatus: (status: Status) => void;
  /** Milliseconds without a byte after which the connection counts as lost. */
  silence?: number;
}

/**
 * Tails a topic until the signal, and connects again when the stream ends. Every stretch that may have been missed is
 * told as a notice. It ends early only when the gateway refuses the request itself.
 */
export async function follow(follow: Follow): Promise<void> {
  const { topic, last = 0, signal, onEntry, onStatus, silence = SILENCE_MS } = follow;
  const past = { failures: 0, live: false };
  const stopped = () => signal.aborted;
  while (!stopped()) {
    if (!past.live) onStatus({ state: "connecting" });
    const run = new Run(silence);
    const stop = () => run.abort();
    signal.addEventListener("abort", stop);
    let why: string;
    try {
      // Later on the kept events would be shown twice.
      await run.read(topic, past.live ? 0 : last, {
        onEntry,
        onOpen: (node, kept) => {
          if (last > 0 && kept === 0 && !past.live) onEntry(notice("The topic keeps no event that could come first."));
          if (past.live) onEntry(notice(`Connected again, to ${node}. What was published meanwhile is not shown.`));
          past.live = true;
          past.failures = 0;
          onStatus({ state: "live", node });
        },
      });
      why = run.closed ? closeReason(run.closed) : "The gateway ended the stream.";
    } catch (error) {
      if (stopped()) return;
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
        onStatus({ state: "refused", why: error.message });
        return;
      }
      why = run.silent
        ? "The connection fell silent."
        : error instanceof ApiError
          ? error.message
          : "The connection was lost.";
    } finally {
      signal.removeEventListener("abort", stop);
      run.abort();
    }
    if (stopped()) return;
    if (run.opened) onEntry(notice(why));
    const wait = delay(past.failures, run.retry);
    past.failures += 1;
    onStatus({ state: "waiting", why, until: Date.now() + wait });
    await pause(wait, signal);
  }
}

/** Milliseconds to wait: what the gateway asked for, then twice as long each time, and never all clients at once. */
export function delay(failures: number, retry: number | null, random = Math.random): number {
  const base = Math.min(LONGEST_WAIT_MS, (retry ?? FIRST_WAIT_MS) * 2 ** Math.min(failures, 5));
  return Math.round(base * (0.75 + random() / 2));
}

function closeReason(reason: string): string {
  if (reason === "shutdown") return "The node shut down.";
  return `The gateway closed the stream (${reason}).`;
}

/** Waits; a network that comes back ends the wait. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
    window.addEventListener("online", done);
  });
}

/** One connection of a tail. */
class Run {
  opened = false;
  silent = false;
  /** The reason of `gateway.close`, once it came. */
  closed: string | null = null;
  /** The last `retry:`, in milliseconds. */
  retry: number | null = null;
  readonly #controller = new AbortController();
  #watch: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly silence: number) {}

  abort(): void {
    clearTimeout(this.#watch);
    this.#controller.abort();
  }

  #heard(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      this.silent = true;
      this.#controller.abort();
    }, this.silence);
  }

  async read(
    topic: string,
    last: number,
    { onEntry, onOpen }: { onEntry: (entry: Entry) => void; onOpen: (node: string, kept: number) => void },
  ): Promise<void> {
    this.#heard();
    const query = last > 0 ? { topic, last: String(last) } : { topic };
    const response = await send(address("/tail", query), { signal: this.#controller.signal });
    if (!response.body) return;
    const parser = new SseParser();
    let kept = 0;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#heard();
      for (const event of parser.push(value)) {
        if (event.retry !== null) this.retry = event.retry;
        const message = readMessage(event);
        if (message.kind === "entry") {
          const { entry } = message;
          if (entry.kind === "published" && kept > 0) {
            kept -= 1;
            entry.kept = true;
          }
          onEntry(entry);
        } else if (message.kind === "close") this.closed = message.reason;
        else if (message.kind === "open") {
          this.opened = true;
          kept = message.kept;
          onOpen(message.node, message.kept);
        }
      }
    }
  }
}
