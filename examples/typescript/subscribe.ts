// Prints the events of topics, over SSE or a WebSocket, and comes back when the connection breaks. See ../README.md.
import { on } from "node:events";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { EventSourceParserStream } from "eventsource-parser/stream";
import WebSocket from "ws";

type Message =
  | { type: "open"; topics: string[] }
  | { type: "event"; topics: string[]; id: string; event: string; data: string }
  | { type: "gap"; topic: string; missed: number | null; reason: string }
  | { type: "close"; reason: string; retry: number };

class Refused extends Error {
  wait = Infinity; // Seconds until the gateway may answer otherwise.
}
let retry = 3; // Seconds until the next connection, until the gateway says otherwise.

/** What one SSE response brings, until it ends. */
async function* sse(url: string, topics: string, lastEventId: string, silence: number): AsyncGenerator<Message> {
  const quiet = new AbortController();
  const timer = setTimeout(() => quiet.abort(new Error(`Nothing came for ${silence} s`)), silence * 1000);
  const headers = { accept: "text/event-stream", "x-sse-topic": topics, "last-event-id": lastEventId };
  try {
    const answer = await fetch(`${url}/sse?format=json`, { headers, signal: quiet.signal });
    if (answer.status !== 200) throw refusal(answer.status, await answer.text(), answer.headers.get("retry-after"));
    const heard = new TransformStream({ transform: (chunk, next) => (timer.refresh(), next.enqueue(chunk)) });
    const parser = new EventSourceParserStream({ onRetry: (milliseconds) => (retry = milliseconds / 1000) });
    const blocks = answer.body!.pipeThrough(heard).pipeThrough(new TextDecoderStream()).pipeThrough(parser);
    for await (const { event = "", data } of blocks) {
      // The data is the event object, but for the gateway's own events, whose type is in their name.
      yield { ...(event.startsWith("gateway.") && { type: event.slice("gateway.".length) }), ...JSON.parse(data) };
    }
  } finally {
    clearTimeout(timer);
    quiet.abort();
  }
}

/** What one WebSocket brings, until it is closed. */
async function* websocket(url: string, topic: string, lastEventId: string, silence: number): AsyncGenerator<Message> {
  const address = `${url.replace(/^http/, "ws")}/ws?${new URLSearchParams({ topic, last_event_id: lastEventId })}`;
  const socket = new WebSocket(address, { handshakeTimeout: silence * 1000 });
  const fail = (error: Error) => socket.emit("error", error);
  socket.on("error", () => socket.terminate());
  socket.on("unexpected-response", (_, response) => {
    text(response).then((body) => fail(refusal(response.statusCode!, body, response.headers["retry-after"])), fail);
  });
  let heard = true;
  socket.on("pong", () => (heard = true));
  const pinging = setInterval(() => {
    if (!heard) fail(new Error(`Nothing came for ${silence} s`));
    else if (socket.readyState === WebSocket.OPEN) socket.ping((heard = false));
  }, silence * 500);
  try {
    for await (const [data] of on(socket, "message", { close: ["close"] })) yield JSON.parse(data);
  } finally {
    clearInterval(pinging);
    socket.close();
  }
}

/** The gateway's problem (RFC 9457) as an error with a sentence. */
function refusal(status: number, body: string, retryAfter: string | null | undefined): Refused {
  const refused = new Refused(`Refused (${status})`);
  try {
    refused.message += `: ${JSON.parse(body).title}. ${JSON.parse(body).detail}`.replace(/\.$/, "");
  } catch {} // Not the gateway's own answer.
  if (status >= 500 || [408, 425, 429].includes(status)) refused.wait = Number(retryAfter) || 0;
  return refused;
}

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: "string", default: process.env["GATEWAY_URL"] || "http://127.0.0.1:8000" },
      websocket: { type: "boolean", default: false },
      "last-event-id": { type: "string", default: "" },
      silence: { type: "string", default: "45" },
    },
  });
  const topics = positionals.length > 0 ? positionals.join(",") : process.env["GATEWAY_TOPICS"];
  const [url, silence] = [values.url.replace(/\/+$/, ""), Number(values.silence)];
  if (!/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/.test(url) || !URL.canParse(url))
    throw new TypeError(`${url} is not an address like http://127.0.0.1:8000`);
  if (!topics) throw new TypeError("Name a topic, or set GATEWAY_TOPICS");
  if (!(silence > 0 && silence <= 86_400)) throw new TypeError("--silence wants seconds, a day at most");
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(0));
  process.stdout.on("error", () => process.exit(141)); // Nobody reads the events any more: as SIGPIPE ends others.
  for (let failures = 0, lastEventId = values["last-event-id"]; ; failures++) {
    let [why, wait] = ["The connection ended", 0];
    try {
      for await (const sent of (values.websocket ? websocket : sse)(url, topics, lastEventId, silence)) {
        if (sent.type === "event") {
          console.log(JSON.stringify(sent));
          lastEventId = sent.id;
        } else if (sent.type === "open") {
          failures = 0;
          console.error(`Connected to ${url} (topics: ${sent.topics.join(", ")}).`);
        } else if (sent.type === "gap") {
          console.error(`Gap: ${sent.missed ?? "some"} events of topic ${sent.topic} did not arrive (${sent.reason}).`);
        } else if (sent.type === "close") {
          [why, wait] = [`The gateway closed the connection (${sent.reason})`, (retry = sent.retry / 1000)];
          break;
        }
      }
    } catch (error) {
      if (!(error instanceof Error) || (error instanceof Refused && error.wait === Infinity)) throw error;
      [why, wait] = [error.cause instanceof Error ? error.cause.message : error.message, (error as Refused).wait ?? 0];
    }
    wait = Math.max(0.1, wait, Math.max(retry, Math.min(30, retry * 2 ** failures)) * (1 - Math.random() / 2));
    console.error(`${why}. Connecting again in ${wait.toFixed(1)} s.`);
    await sleep(wait * 1000);
  }
} catch (error) {
  console.error(`${(error as Error).message}.`);
  process.exit(error instanceof Refused ? 1 : 2);
}
