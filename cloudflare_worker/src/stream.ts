/** An event stream that the Worker makes of sockets to topics' objects: what subscribers and tails share. */

import { count } from "./counting";
import { Unavailable } from "./exceptions";
import { Merge, type Past } from "./history/merge";
import { Outbox } from "./outbox";
import type { Scene } from "./publish";
import { settingsOf } from "./settings";
import { objectName } from "./topic/names";
import { asked } from "./routing";
import {
  controlFrame,
  FULL_HEADER,
  LINK_HEADER,
  MORE,
  readMessage,
  type Control,
  type Link,
  type Text,
} from "./wire/link";
import { KEEP_ALIVE } from "./wire/sse";

export const SSE_HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
};

const MOST_SEEN = 1024;
const MOST_TRIES = 20;
/** So much is written of a replay before its reader has taken it. */
const PACE_CHARACTERS = 65_536;
const PACE_EVENTS = 64;
/** So many outboxes of live events wait meanwhile at most. */
const MOST_WAITING = 4;

/** Ask a topic's object for a socket, and its part where the object is full. */
export async function openSocket(scene: Scene, topic: string, link: Link, request: Request): Promise<Response> {
  let next: { part: number | null; full: number } = { part: null, full: 0 };
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const headers = new Headers(request.headers);
    headers.set(LINK_HEADER, encodeURIComponent(JSON.stringify(link)));
    headers.set(FULL_HEADER, String(next.full));
    const stub = scene.env.TOPICS.getByName(objectName(topic, next.part));
    const [answer] = await asked<Response>([stub.fetch("https://topic/", { headers })]);
    if (answer?.status !== 200) return answer ?? Response.error();
    next = await answer.json();
  }
  throw new Unavailable();
}

/** One stream: its sockets, and what is written of them. */
export class Stream {
  readonly response: ReadableStream;
  private readonly outbox: Outbox;
  private readonly sockets = new Map<string, WebSocket>();
  private readonly pages = new Map<string, (end: boolean) => void>();
  private readonly seen = new Set<string>();
  // While the client is given what it missed: that, and what is live.
  private merge: Merge<Text & Past> | null = null;
  private readonly waiting: [topic: string, text: Text][] = [];
  private waitingSize = 0;
  private paced = 0;
  private ended = false;
  private heartbeat: ReturnType<typeof setTimeout>;

  constructor(
    private readonly scene: Scene,
    private readonly link: Link,
    private readonly signal: AbortSignal,
  ) {
    const settings = settingsOf(scene.env);
    const { readable, writable } = new IdentityTransformStream();
    this.response = readable;
    this.outbox = new Outbox(
      writable,
      settings,
      () => {
        this.end();
      },
      (events) => {
        count(scene.env, scene.context, scene.node, { gaps: events });
      },
    );
    this.heartbeat = setTimeout(() => {
      this.beat();
    }, 0);
    signal.addEventListener("abort", () => {
      this.end();
    });
  }

  /** Open a socket to each topic's object. On return each of them sends what is published. */
  async attach(topics: readonly string[]): Promise<void> {
    try {
      await Promise.all(topics.map((topic) => this.attachTo(topic)));
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** Write the opening frame, and from then on what comes: first what the client missed in `topics`, one by one. */
  open(first: string, topics: readonly string[] = []): void {
    // A client that left while the stream was made has been told of already.
    if (this.signal.aborted) this.end();
    this.outbox.open(first);
    if (topics.length > 0) this.scene.context.waitUntil(this.catchUp(topics));
  }

  /** Close every socket: the client has gone, or is not let in. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.heartbeat);
    for (const resolve of this.pages.values()) resolve(true);
    for (const socket of this.sockets.values()) close(socket);
    this.outbox.reset();
  }

  private beat(): void {
    const next = this.outbox.beat(KEEP_ALIVE);
    if (this.ended) return;
    this.heartbeat = setTimeout(() => {
      this.beat();
    }, next);
  }

  private async catchUp(topics: readonly string[]): Promise<void> {
    const merge = new Merge<Text & Past>(topics);
    this.merge = merge;
    for (;;) {
      for (const topic of merge.wanting) {
        // A page is asked for when the one before has been read: the replay is as fast as its reader.
        await this.outbox.drained();
        if (this.ended) return;
        const page = new Promise<boolean>((resolve) => this.pages.set(topic, resolve));
        this.sockets.get(topic)?.send(MORE);
        if (await page) merge.end(topic);
      }
      const next = merge.next();
      if (next === null) {
        if (merge.wanting.length === 0) break;
        continue;
      }
      await this.writePaced(next.topic, next.item);
    }
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      this.waitingSize -= next[1].frame.length;
      await this.writePaced(...next);
    }
    this.merge = null;
  }

  /** Write what may not wait for its reader in the outbox: it would be taken for slow. */
  private async writePaced(topic: string, text: Text): Promise<void> {
    this.write(topic, text);
    this.paced += text.frame.length + PACE_CHARACTERS / PACE_EVENTS;
    if (this.paced < PACE_CHARACTERS) return;
    this.paced = 0;
    await this.outbox.drained();
  }

  private async attachTo(topic: string): Promise<void> {
    const upgrade = new Request("https://topic/", { headers: { upgrade: "websocket" } });
    const answer = await openSocket(this.scene, topic, this.link, upgrade);
    const socket = answer.webSocket;
    if (socket === null) throw new Unavailable();
    this.sockets.set(topic, socket);
    socket.addEventListener("message", ({ data }) => {
      this.receive(topic, socket, data as string);
    });
    // The object has gone: a stream that goes on would miss what it has not been told of.
    const gone = () => {
      close(socket);
      this.outbox.finish();
    };
    socket.addEventListener("close", gone);
    // One that failed, and did not merely go, is told so and not closed.
    socket.addEventListener("error", gone);
    socket.accept();
    if (this.ended) close(socket);
  }

  private receive(topic: string, socket: WebSocket, data: string): void {
    const message = readMessage(data);
    if ("type" in message) {
      this.control(message, socket, topic);
      return;
    }
    if ("time" in message) {
      this.merge?.add(topic, message);
      return;
    }
    if (this.merge === null || (message.key === "" && !this.merge.has(topic))) {
      this.write(topic, message);
      return;
    }
    this.waiting.push([topic, message]);
    this.waitingSize += message.frame.length;
    const { outboxEvents, outboxBytes } = settingsOf(this.scene.env);
    // Its client comes back, and is given these with the rest.
    if (this.waiting.length > MOST_WAITING * outboxEvents || this.waitingSize > MOST_WAITING * outboxBytes) this.end();
  }

  private write(topic: string, { key, frame }: Text): void {
    if (key !== "") {
      if (this.seen.has(key)) return;
      if (this.seen.size >= MOST_SEEN) this.seen.delete(this.seen.values().next().value ?? "");
      this.seen.add(key);
    }
    this.outbox.sent += 1;
    this.outbox.put(frame, [topic]);
  }

  private control(control: Control, socket: WebSocket, topic: string): void {
    if (control.type === "page") {
      this.pages.get(topic)?.(control.end);
      return;
    }
    if (control.type === "ask") {
      socket.send(JSON.stringify(this.outbox.figures()));
      return;
    }
    this.outbox.put(controlFrame(control));
    if (control.type === "close") this.outbox.finish();
  }
}

function close(socket: WebSocket): void {
  try {
    socket.close(1000, "left");
  } catch {
    // It is closed.
  }
}
