/** The dashboard's built files, and the page that describes the API. */

import document from "../../frontend/openapi.json";
import { notFound } from "./problems";
import type { Env } from "./settings";

/** Nothing inline, nothing of other hosts, in nobody's frame; the same as the Python gateway's. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

/** Send a browser from the gateway's address, or from the path without its slash, to the dashboard. */
export function toDashboard(request: Request): Response {
  return new Response(null, { status: 308, headers: { location: `/dashboard/${new URL(request.url).search}` } });
}

/** Answer with the build's file at the request's path. */
export async function dashboard(request: Request, env: Env): Promise<Response> {
  const found = await env.ASSETS.fetch(request);
  if (found.status === 404) throw notFound();
  const response = new Response(found.body, found);
  const { headers } = response;
  headers.set("content-security-policy", CONTENT_SECURITY_POLICY);
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-resource-policy", "same-origin");
  const named = /\/assets\/.+-[\w-]{8,}\.\w+$/.test(new URL(request.url).pathname);
  headers.set("cache-control", named ? "max-age=31536000, public, immutable" : "max-age=0, public");
  return response;
}

/** The OpenAPI document: the very one of the Python gateway, whose tests compare it with what is answered. */
export function openapi(): Response {
  return Response.json(document, { headers: { "cache-control": "no-store" } });
}

/** A plain list of the endpoints. */
export function docs(): Response {
  const rows = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations as Record<string, { summary?: string }>).map(
      ([method, { summary = "" }]) =>
        `<tr><td><code>${escape(method.toUpperCase())}</code></td><td><code>${escape(path)}</code></td><td>${escape(summary)}</td></tr>`,
    ),
  );
  const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>SSE gateway</title></head>
<body>
<h1>SSE gateway</h1>
<p>The whole description is <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
<table>
${rows.join("\n")}
</table>
</body>
</html>
`;
  return new Response(html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    },
  });
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
