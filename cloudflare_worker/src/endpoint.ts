/** `POST /publish`: the event's data as it is, admitted on its headers alone. */

import { admit } from "./admission";
import { readText } from "./body";
import { rfc3339 } from "./events";
import { deliverable, publish, subscribers, type Scene } from "./publish";
import { settingsOf } from "./settings";

export const PUBLISH_HEADERS =
  "authorization, x-api-key, content-type, x-sse-topic, x-sse-id, x-sse-event, x-sse-retry";

const DROPPED = { "x-sse-dropped": "no-subscribers" };

export async function publishRaw(request: Request, scene: Scene): Promise<Response> {
  const settings = settingsOf(scene.env);
  const { topics, id, event, retry } = await admit(request.method, request.headers, settings);
  if (!(await deliverable(scene, topics, id))) return dropped();
  const data = await readText(request.body, settings.maxEventBytes, settings.bodyTimeoutSeconds);
  const routed = await publish(scene, { topics, id, data, event, retry, time: rfc3339(Date.now()) });
  if (Object.keys(routed).length === 0) return dropped();
  return Response.json({ id, subscribers: subscribers(routed), topics: routed });
}

export function dropped(): Response {
  return new Response(null, { status: 204, headers: DROPPED });
}
