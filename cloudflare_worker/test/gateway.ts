/** The gateway as its clients see it, inside workerd. */

import { exports } from "cloudflare:workers";

export const KEY = "key-one";

/** One WebSocket subscriber and what it has got. */
export class Subscriber {
  readonly messages: Record<string, unknown>[] = [];
  closed = false;
  private readonly socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.addEventListener("message", ({ data }) => {
      this.messages.push(JSON.parse(data as string) as Record<string, unknown>);
    });
    socket.addEventListener("close", () => {
      this.closed = true;
    });
    socket.accept();
  }

  static async open(query: string): Promise<Subscriber> {
    const response = await fetchGateway(`/ws?${query}`, { headers: { upgrade: "websocket" } });
    if (response.webSocket === null) throw new Error(`${response.status}: ${await response.text()}`);
    return new Subscriber(response.webSocket);
  }

  /** Data of the events that have come. */
  get data(): unknown[] {
    return this.messages.flatMap((message) => (message["type"] === "event" ? [message["data"]] : []));
  }

  send(command: object | string): void {
    this.socket.send(typeof command === "string" ? command : JSON.stringify(command));
  }

  close(): void {
    this.socket.close(1000);
  }
}

export async function fetchGateway(path: string, init?: RequestInit): Promise<Response> {
  return exports.default.fetch(`https://gateway.test${path}`, init);
}

export async function publish(topic: string, data: string, id = "1"): Promise<Response> {
  return fetchGateway("/publish", {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "x-sse-topic": topic, "x-sse-id": id },
    body: data,
  });
}

/** `GET /api/v1/…` read as JSON. */
export async function get<T>(path: string): Promise<T> {
  const response = await fetchGateway(`/api/v1${path}`, { headers: { "x-api-key": KEY } });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return response.json<T>();
}

/** Ask a condition again and again until it is true. */
export async function eventually(condition: () => boolean | Promise<boolean>, seconds = 5): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not true within ${seconds} s: ${condition.toString()}`);
    await scheduler.wait(10);
  }
}
