/** An event stream that the Worker makes of sockets to topics' objects: what subscribers and tails share. */

import { count } from "./counting";
import { Unavailable } from "./exceptions";
import { Outbox } from "./outbox";
import type { Scene } from "./publish";
import { settingsOf } from "./settings";
import { objectName } from "./topic/names";
import { controlFrame, LINK_HEADER, MORE, readMessage, type Control, type Link } from "./wire/link";
import { KEEP_ALIVE } from "./wire/sse";

export const SSE_HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
};

const MOST_SEEN = 1024;
const MOST_TRIES = 20;

/** Ask a topic's object for a socket, and its part where the object is full. */
export async function openSocket(scene: Scene, topic: string, link: Link, request: Request): Promise<Response> {
  let part: number | null = null;
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const headers = new Headers(request.headers);
    headers.set(LINK_HEADER, encodeURIComponent(JSON.stringify(link)));
    const stub = scene.env.TOPICS.getByName(objectName(topic, part));
    const answer: Response = await stub.fetch("https://topic/", { headers });
    if (answer.status !== 200) return answer;
    ({ part } = await answer.json<{ part: number | null }>());
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
    for (const topic of topics) {
      for (let end = false; !end && !this.ended;) {
        // A page is asked for when the one before has been read: the replay is as fast as its reader.
        await this.outbox.drained();
        const page = new Promise<boolean>((resolve) => this.pages.set(topic, resolve));
        this.sockets.get(topic)?.send(MORE);
        end = await page;
      }
    }
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
    socket.addEventListener("close", () => {
      close(socket);
      // The object has gone: a stream that goes on would miss what it has not been told of.
      this.outbox.finish();
    });
    socket.accept();
    if (this.ended) close(socket);
  }

  private receive(topic: string, socket: WebSocket, data: string): void {
    const message = readMessage(data);
    if ("type" in message) {
      this.control(message, socket, topic);
      return;
    }
    if (message.key !== "") {
      if (this.seen.has(message.key)) return;
      if (this.seen.size >= MOST_SEEN) this.seen.delete(this.seen.values().next().value ?? "");
      this.seen.add(message.key);
    }
    this.outbox.sent += 1;
    this.outbox.put(message.frame, [topic]);
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
