/** Does the Worker answer, and can it deliver: `/health` and `/ready`. */

import { NAME } from "./directory";
import type { Scene } from "./publish";

export const ALLOW = "GET, HEAD, OPTIONS";

/** How long an object may take before the gateway counts as not ready. */
const READY_SECONDS = 2;

export function health(): Response {
  return answer(200, { status: "ok" });
}

/** Whether this Worker reaches the objects: it passes a message to one and back. */
export async function ready(scene: Scene): Promise<Response> {
  const late = scheduler.wait(READY_SECONDS * 1000).then(() => false);
  const reached = Promise.resolve(scene.env.DIRECTORY.getByName(NAME).check()).catch(() => false);
  if (await Promise.race([reached, late])) return answer(200, { status: "ready" });
  const detail = `The placement store did not answer within ${READY_SECONDS} seconds.`;
  return answer(503, { status: "unavailable", detail }, { "retry-after": "1" });
}

function answer(status: number, body: object, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { "cache-control": "no-store", ...headers } });
}
