/** Does the Worker answer, and can it deliver: `/health` and `/ready`. */

import { NAME } from "./directory";
import type { Scene } from "./publish";

export const ALLOW = "GET, HEAD, OPTIONS";

/** How long an object may take before the gateway counts as not ready. */
const READY_SECONDS = 2;

export function health(request: Request): Response {
  return answer(request, 200, "OK", { status: "ok" });
}

/** Whether this Worker reaches the objects: it passes a message to one and back. */
export async function ready(request: Request, scene: Scene): Promise<Response> {
  const late = scheduler.wait(READY_SECONDS * 1000).then(() => false);
  const reached = Promise.resolve(scene.env.DIRECTORY.getByName(NAME).check()).catch(() => false);
  if (await Promise.race([reached, late])) return answer(request, 200, "READY", { status: "ready" });
  const detail = `The placement store did not answer within ${READY_SECONDS} seconds.`;
  return answer(request, 503, `unavailable: ${detail}`, { status: "unavailable", detail }, { "retry-after": "1" });
}

/** Says it in a word, as clients of an older service expect it, and in JSON to those who ask for that. */
function answer(
  request: Request,
  status: number,
  word: string,
  body: object,
  more: Record<string, string> = {},
): Response {
  const headers = { "cache-control": "no-store", vary: "accept", ...more };
  const json = (request.headers.get("accept") ?? "").toLowerCase().includes("application/json");
  if (json) return Response.json(body, { status, headers });
  return new Response(word, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}
