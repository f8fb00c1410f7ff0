/** `GET /sse`: a subscriber over Server-Sent Events. */

import { NAME } from "./directory";
import { refusal } from "./exceptions";
import { newId } from "./node";
import { resumeOf, type Scene } from "./publish";
import { asked } from "./routing";
import { methodNotAllowed } from "./problems";
import { settingsOf } from "./settings";
import { SSE_HEADERS, Stream } from "./stream";
import { readSubscription } from "./subscription";
import type { Link } from "./wire/link";
import { encodeControl } from "./wire/sse";

export const ALLOW = "GET, HEAD, OPTIONS";
export const REQUEST_HEADERS = "x-sse-topic, last-event-id, cache-control";

/** What `/api/events` means without a topic. */
export const TUTORIAL_TOPIC = "events";

/**
 * Answer the request; the stream stays open until the client leaves or is closed.
 *
 * @param otherwise What is meant where no topic is given; empty where one must be.
 */
export async function subscribe(request: Request, scene: Scene, otherwise: readonly string[] = []): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed(request.method, ALLOW);
  const settings = settingsOf(scene.env);
  const { topics, form, lastId, client, userAgent } = readSubscription(request, settings, ["raw", "json"], otherwise);
  if (request.method === "HEAD") return new Response(null, { headers: SSE_HEADERS });
  const link: Link = { id: newId(), format: form === "json" ? "sse-json" : "sse", node: scene.node };
  const kept = lastId === null ? [] : topics.filter((topic) => settings.history.of(topic) !== null);
  if (lastId !== null && kept.length > 0) link.resume = await resumeOf(scene, lastId, kept);
  const stream = new Stream(scene, link, request.signal);
  await stream.attach(topics);
  const [listed] = await asked([
    scene.env.DIRECTORY.getByName(NAME).attach(
      { id: link.id, topics, transport: "sse", node: scene.node, home: "", client, userAgent },
      { all: settings.maxConnections, client: settings.maxConnectionsPerClient },
    ),
  ]);
  if (listed !== undefined && listed !== "listed") {
    stream.end();
    throw refusal(listed);
  }
  stream.open(encodeControl("gateway.open", { connection: link.id, topics, node: scene.node }, settings.retryMs), kept);
  return new Response(stream.response, { headers: SSE_HEADERS });
}
