/** `GET /api/v1/tail`: everything published to a topic, dropped publishes too. A tail never makes a topic exist. */

import { MAX_PAGE } from "./admin";
import { parseTopics } from "./events";
import { InvalidInput } from "./exceptions";
import { allows } from "./keys";
import { newId } from "./node";
import { methodNotAllowed, unauthorized } from "./problems";
import type { Scene } from "./publish";
import { asked } from "./routing";
import { readQuery } from "./query";
import { settingsOf } from "./settings";
import { SSE_HEADERS, Stream } from "./stream";
import type { Link } from "./wire/link";
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
  const last = readLast(readQuery(request.url));
  if (request.method === "HEAD") return new Response(null, { headers: SSE_HEADERS });
  const link: Link = { id: newId(), format: "tail", node: scene.node };
  const resumes = last > 0 && settings.history.of(topic) !== null;
  if (resumes) link.resume = { newest: last };
  const stream = new Stream(scene, link, request.signal);
  await stream.attach([topic]);
  const [page] = resumes ? await asked([scene.env.TOPICS.getByName(topic).keptEvents(1, null)]) : [];
  const kept = Math.min(last, page?.total ?? 0);
  stream.open(
    encodeControl("gateway.open", { topic, node: scene.node, kept }, settings.retryMs),
    resumes ? [topic] : [],
  );
  return new Response(stream.response, { headers: SSE_HEADERS });
}

/** How many kept events the tail begins with. */
function readLast(query: [string, string][]): number {
  const [value, ...more] = query.flatMap(([name, each]) => (name === "last" ? [each] : []));
  if (value === undefined) return 0;
  const last = more.length === 0 && /^[0-9]{1,3}$/.test(value) ? Number(value) : 0;
  if (last < 1 || last > MAX_PAGE) {
    throw new InvalidInput("invalid-query", `last must be one whole number from 1 to ${MAX_PAGE}, or be left out.`);
  }
  return last;
}
