/** `GET /api/v1/tail`: everything published to a topic, dropped publishes too. A tail never makes a topic exist. */

import { parseTopics } from "./events";
import { InvalidInput } from "./exceptions";
import { allows } from "./keys";
import { newId } from "./node";
import { methodNotAllowed, unauthorized } from "./problems";
import type { Scene } from "./publish";
import { readQuery } from "./query";
import { settingsOf } from "./settings";
import { SSE_HEADERS, Stream } from "./stream";
import { encodeControl } from "./wire/sse";

export const ALLOW = "GET, HEAD, OPTIONS";

export async function tail(request: Request, scene: Scene): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed(request.method, ALLOW);
  const settings = settingsOf(scene.env);
  if (!(await allows(settings.apiKeys, request.headers))) throw unauthorized();
  const values = readQuery(request.url).flatMap(([name, value]) => (name === "topic" ? [value] : []));
  const [topic] = parseTopics(values, 1, "The query parameter topic");
  if (topic === undefined) {
    throw new InvalidInput("invalid-topic", "No topic is given; send the query parameter topic.");
  }
  if (request.method === "HEAD") return new Response(null, { headers: SSE_HEADERS });
  const stream = new Stream(scene, { id: newId(), format: "tail", node: scene.node }, request.signal);
  await stream.attach([topic]);
  stream.open(encodeControl("gateway.open", { topic, node: scene.node }, settings.retryMs));
  return new Response(stream.response, { headers: SSE_HEADERS });
}
