import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { onTestFinished, vi } from "vitest";

export type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

export const KEY = "right-key";

/** Answers JSON. */
export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" });
  response.end(JSON.stringify(body));
}

/** Lets a request pass that carries the key, as the gateway does. */
export function guarded(answer: Answer): Answer {
  return (request, response, url) => {
    if (request.headers.authorization === `Bearer ${KEY}`) answer(request, response, url);
    else json(response, 401, { type: "/problems/unauthorized", status: 401, detail: "The key is missing or wrong." });
  };
}

/** A server on a free port of loopback that the page's own addresses lead to, until the test is over. */
export async function serve(answer: Answer): Promise<{ requests: string[]; stop: () => Promise<void> }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method ?? ""} ${request.url ?? ""}`);
    answer(request, response, new URL(request.url ?? "/", "http://gateway"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const real = globalThis.fetch;
  vi.stubGlobal("fetch", (input: string, init?: RequestInit) => real(`http://127.0.0.1:${port}${input}`, init));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(stop);
  return { requests, stop };
}
