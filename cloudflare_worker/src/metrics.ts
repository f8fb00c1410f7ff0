/** `GET /metrics`: what the whole gateway has counted, for Prometheus. */

import { NAME } from "./directory";
import { allows } from "./keys";
import { unauthorized } from "./problems";
import type { Scene } from "./publish";
import { asked } from "./routing";
import { settingsOf } from "./settings";
import { VERSION } from "./version";

export async function metrics(request: Request, scene: Scene): Promise<Response> {
  const { apiKeys, metricsPublic } = settingsOf(scene.env);
  if (!metricsPublic && !(await allows(apiKeys, request.headers))) throw unauthorized();
  const [totals] = await asked([scene.env.DIRECTORY.getByName(NAME).totals()]);
  if (totals === undefined) throw unauthorized();
  const lines = [
    // One name for all: these are the gateway's figures, wherever they are asked for.
    ...metric(
      "gateway_node_info",
      "gauge",
      "Always 1; the labels say which version answers.",
      1,
      `{version="${VERSION}"}`,
    ),
    ...metric("gateway_connections", "gauge", "Connections that the gateway holds.", totals.connections),
    ...metric("gateway_topics", "gauge", "Topics that exist.", totals.topics),
    ...metric("gateway_published_total", "counter", "Events that the gateway accepted and routed.", totals.published),
    ...metric("gateway_delivered_total", "counter", "Events handed to connections.", totals.delivered),
    ...metric(
      "gateway_dropped_total",
      "counter",
      "Publishes dropped, their topics having no connection.",
      totals.dropped,
    ),
    ...metric("gateway_gaps_total", "counter", "Events that connections were told they missed.", totals.gaps),
  ];
  return new Response(`${lines.join("\n")}\n`, {
    headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8", "cache-control": "no-store" },
  });
}

function metric(name: string, type: string, help: string, value: number, labels = ""): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name}${labels} ${value}`];
}
