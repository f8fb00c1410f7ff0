/** `GET /ws`: a subscriber over WebSocket. The first topic's object takes its socket; this Worker is then done with it. */

import type { Cors } from "./cors";
import { newId } from "./node";
import { methodNotAllowed, Problem } from "./problems";
import { resumeOf, type Scene } from "./publish";
import { settingsOf } from "./settings";
import { openSocket } from "./stream";
import { readSubscription } from "./subscription";
import type { Link } from "./wire/link";

const ALLOW = "GET, OPTIONS";

export async function connect(request: Request, scene: Scene, cors: Cors): Promise<Response> {
  if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: { allow: ALLOW } });
  if (request.method !== "GET") throw methodNotAllowed(request.method, ALLOW);
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw new Problem(426, "upgrade-required", "This is a WebSocket; connect with ws: or wss:.", {
      upgrade: "websocket",
      connection: "upgrade",
    });
  }
  // A browser asks nobody before it opens a WebSocket to another origin (RFC 6455 §10.2): check here.
  if (!cors.allows(request.headers.get("origin"))) {
    throw new Problem(403, "origin-not-allowed", "Pages of this origin may not subscribe here.");
  }
  const settings = settingsOf(scene.env);
  const { topics, form, lastId, client, userAgent } = readSubscription(request, settings, ["json", "raw"]);
  const link: Link = {
    id: newId(),
    format: form === "raw" ? "websocket-raw" : "websocket-json",
    node: scene.node,
    client: { topics, address: client, userAgent },
  };
  const kept = lastId === null ? [] : topics.filter((topic) => settings.history.of(topic) !== null);
  if (lastId !== null && kept.length > 0) link.resume = await resumeOf(scene, lastId, kept);
  return openSocket(scene, topics[0] ?? "", link, new Request("https://topic/", { headers: handshake(request) }));
}

/** The headers of the handshake itself; the client's others are none of the object's business. */
function handshake(request: Request): Headers {
  const headers = new Headers();
  for (const [name, value] of request.headers) {
    if (name === "upgrade" || name === "connection" || name.startsWith("sec-websocket-")) headers.set(name, value);
  }
  return headers;
}
