/** The Worker: which path is answered by what. */

import { Hono, type Context } from "hono";
import {
  closeConnection,
  getConnection,
  getStats,
  listConnections,
  listEvents,
  listNodes,
  listSources,
  listTopics,
} from "./admin";
import { ALLOW as PUBLISH_ALLOW } from "./admission";
import { publishBatch, publishJson } from "./api";
import { Cors } from "./cors";
import { PUBLISH_HEADERS, publishRaw } from "./endpoint";
import { WrongSetting } from "./exceptions";
import { ALLOW as PROBE_ALLOW, health, ready } from "./health";
import { allows } from "./keys";
import { log } from "./logs";
import { metrics } from "./metrics";
import { coloOf } from "./node";
import { dashboard, docs, openapi, toDashboard } from "./pages";
import { methodNotAllowed, notFound, problemOf, unauthorized } from "./problems";
import type { Scene } from "./publish";
import { decode } from "./query";
import { settingsOf, type Env } from "./settings";
import { ALLOW as SSE_ALLOW, REQUEST_HEADERS, subscribe, TUTORIAL_TOPIC } from "./sse";
import { ALLOW as TAIL_ALLOW, tail } from "./tail";
import { connect } from "./websocket";

export { Directory } from "./directory";
export { Topic } from "./topic";

type Answer = (request: Request, scene: Scene) => Response | Promise<Response>;
type Requested = Context<{ Bindings: Env }>;

const app = new Hono<{ Bindings: Env }>();

// A wrong setting stops every answer: better at once than on a path that is asked once a month.
app.use(async (c, next) => {
  settingsOf(c.env);
  await next();
});

app.all("/publish", (c) => raw(c, adminCors(c.env), PUBLISH_ALLOW, publishRaw));
app.all("/sse", (c) => raw(c, subscriberCors(c.env), SSE_ALLOW, subscribe));
// The name that tutorials, and a service before this one, have for it.
app.all("/api/events", (c) =>
  raw(c, subscriberCors(c.env), SSE_ALLOW, (request, here) => subscribe(request, here, [TUTORIAL_TOPIC])),
);
app.all("/ws", (c) => connect(c.req.raw, scene(c), subscriberCors(c.env)));
app.all("/api/v1/tail", (c) => raw(c, adminCors(c.env), TAIL_ALLOW, tail));
app.all("/health", (c) =>
  raw(
    c,
    null,
    PROBE_ALLOW,
    only("GET, HEAD", PROBE_ALLOW, (request) => health(request)),
  ),
);
app.all("/ready", (c) =>
  raw(
    c,
    null,
    PROBE_ALLOW,
    only("GET, HEAD", PROBE_ALLOW, (request, here) => ready(request, here)),
  ),
);
app.all("/metrics", (c) => raw(c, null, PROBE_ALLOW, only("GET, HEAD", PROBE_ALLOW, metrics)));

app.all("/api/docs", (c) => api(c, { GET: () => docs() }, { open: true }));
app.all("/api/v1/openapi.json", (c) => api(c, { GET: () => openapi() }, { open: true }));
app.all("/api/v1/publish", (c) => api(c, { POST: publishJson }));
app.all("/api/v1/publish/batch", (c) => api(c, { POST: publishBatch }));
app.all("/api/v1/topics", (c) => api(c, { GET: listTopics }));
app.all("/api/v1/connections", (c) => api(c, { GET: listConnections }));
app.all("/api/v1/nodes", (c) => api(c, { GET: listNodes }));
app.all("/api/v1/sources", (c) => api(c, { GET: listSources }));
app.all("/api/v1/stats", (c) => api(c, { GET: getStats }));
app.all("/api/v1/connections/:id{.+}", (c) =>
  api(c, {
    GET: (request, here) => getConnection(segment(request, "/api/v1/connections/"), here),
    DELETE: (request, here) => closeConnection(segment(request, "/api/v1/connections/"), here),
  }),
);
app.all("/api/v1/topics/:topic{.+}/events", (c) =>
  api(c, { GET: (request, here) => listEvents(segment(request, "/api/v1/topics/", "/events"), request, here) }),
);
app.all("/api/*", (c) => api(c, null));

for (const path of ["/", "/dashboard"]) {
  app.all(path, (c) => raw(c, null, PROBE_ALLOW, only("GET, HEAD", PROBE_ALLOW, toDashboard)));
}
app.all("/dashboard/*", (c) =>
  raw(
    c,
    null,
    PROBE_ALLOW,
    only("GET, HEAD", PROBE_ALLOW, (request) => dashboard(request, c.env)),
  ),
);

app.notFound((c) => headless(c.req.raw, notFound().response()));
app.onError((error, c) => {
  if (error instanceof WrongSetting) log("error", "wrong setting", { error: error.message });
  else if (problemOf(error).status === 500) log("error", "request failed", { error: error.stack ?? String(error) });
  return headless(c.req.raw, problemOf(error).response());
});

export default app;

function scene(c: Requested): Scene {
  return { env: c.env, context: c.executionCtx, node: coloOf(c.req.raw) };
}

/** Answer with CORS, OPTIONS, HEAD and problems, as every path does. */
async function raw(c: Requested, cors: Cors | null, allow: string, answer: Answer): Promise<Response> {
  const request = c.req.raw;
  const origin = request.headers.get("origin");
  if (request.method === "OPTIONS") {
    return new Response(null, { status: 204, headers: { allow, ...cors?.preflight(origin) } });
  }
  return told(request, cors, () => answer(request, scene(c)));
}

/** Answer a path of the JSON API: the key before anything else, then the method. */
async function api(c: Requested, methods: Record<string, Answer> | null, { open = false } = {}): Promise<Response> {
  const request = c.req.raw;
  const cors = adminCors(c.env);
  const origin = request.headers.get("origin");
  if (request.method === "OPTIONS" && request.headers.has("access-control-request-method")) {
    return new Response(null, { status: 204, headers: cors.preflight(origin) });
  }
  return told(request, cors, async () => {
    // What a path allows is no secret, and a client that asks has no key at hand yet.
    if (!open && request.method !== "OPTIONS" && !(await allows(settingsOf(c.env).apiKeys, request.headers))) {
      throw unauthorized();
    }
    if (methods === null) throw notFound();
    const names = Object.keys(methods);
    const allow = [...names, ...("GET" in methods ? ["HEAD"] : []), "OPTIONS"].sort().join(", ");
    if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
    const answer = methods[request.method === "HEAD" ? "GET" : request.method];
    if (answer === undefined) throw methodNotAllowed(request.method, allow);
    return answer(request, scene(c));
  });
}

function only(methods: string, allow: string, answer: Answer): Answer {
  return (request, here) => {
    if (!methods.split(", ").includes(request.method)) throw methodNotAllowed(request.method, allow);
    return answer(request, here);
  };
}

async function told(
  request: Request,
  cors: Cors | null,
  answer: () => Response | Promise<Response>,
): Promise<Response> {
  let response: Response;
  try {
    response = await answer();
  } catch (error) {
    const problem = problemOf(error);
    // The whole error is for the log alone.
    if (problem.status === 500) throw error;
    response = problem.response();
  }
  const headers = cors?.response(request.headers.get("origin")) ?? {};
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  if (!response.headers.has("cache-control")) response.headers.set("cache-control", "no-store");
  return headless(request, response);
}

/** What answers HEAD has no content (RFC 9110 §9.3.2). */
function headless(request: Request, response: Response): Response {
  return request.method === "HEAD" ? new Response(null, response) : response;
}

/** The part of the path between two others, decoded. */
function segment(request: Request, before: string, after = ""): string {
  const { pathname } = new URL(request.url);
  const part = pathname.slice(before.length, pathname.length - after.length);
  try {
    return decode(part.replaceAll("+", "%2B"));
  } catch {
    throw notFound();
  }
}

function adminCors(env: Env): Cors {
  const { adminCorsOrigins } = settingsOf(env);
  return new Cors(adminCorsOrigins, "GET, POST, DELETE, OPTIONS", PUBLISH_HEADERS, "x-sse-dropped, retry-after");
}

function subscriberCors(env: Env): Cors {
  return new Cors(settingsOf(env).corsOrigins, SSE_ALLOW, REQUEST_HEADERS);
}
