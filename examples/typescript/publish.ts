// Publishes events: each further argument is one, or each line of standard input. See ../README.md.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

const ASK_AGAIN = new Set([408, 425, 429, 502, 503, 504]);

/** The gateway will not take it, or could not be asked in time. */
class Refused extends Error {}

interface Gateway {
  url: string;
  key: string;
  topics: string;
  event: string | undefined;
  timeout: number;
}

function fromCommandLine(): [Gateway, string[]] {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: "string", default: process.env["GATEWAY_URL"] || "http://127.0.0.1:8000" },
      "key-file": { type: "string" },
      event: { type: "string" },
      timeout: { type: "string", default: "30" },
    },
  });
  const file = values["key-file"];
  const key = file ? (readFileSync(file, "utf8").split("\n", 1)[0] ?? "").trim() : process.env["GATEWAY_API_KEY"];
  const [topics = process.env["GATEWAY_TOPICS"], ...data] = positionals;
  const timeout = Number(values.timeout);
  if (!/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/.test(values.url) || !URL.canParse(values.url))
    throw new Error(`${values.url} is not an address like http://127.0.0.1:8000.`);
  if (!topics) throw new Error("Name a topic, or set GATEWAY_TOPICS.");
  if (!key) throw new Error("Set GATEWAY_API_KEY, or give --key-file.");
  if (!(timeout > 0 && timeout <= 86_400)) throw new Error("--timeout wants seconds, a day at most.");
  return [{ url: values.url.replace(/\/+$/, ""), key, topics, event: values.event, timeout }, data];
}

/** Publishes one event, and tries again for as long as that can help; returns what the gateway answered. */
async function publish(gateway: Gateway, data: string): Promise<{ status: number; id: string; subscribers: number }> {
  // The same id on each try: GATEWAY_DEDUPE_SECONDS lets the gateway know a repeated event by it.
  const id = randomUUID();
  const headers: Record<string, string> = {
    authorization: `Bearer ${gateway.key}`,
    "x-sse-topic": gateway.topics,
    "x-sse-id": id,
  };
  if (gateway.event !== undefined) headers["x-sse-event"] = gateway.event;
  const deadline = Date.now() + gateway.timeout * 1000;
  for (let attempt = 0; ; attempt++) {
    let wait = Math.min(10, 0.25 * 2 ** attempt) * (1 - Math.random() / 2);
    let reason: string;
    try {
      const signal = AbortSignal.timeout(Math.max(1, deadline - Date.now()));
      const response = await fetch(`${gateway.url}/publish`, { method: "POST", headers, body: data, signal });
      const body = await response.text();
      if (response.status === 200) return { status: 200, id, subscribers: JSON.parse(body).subscribers };
      if (response.status === 204) return { status: 204, id, subscribers: 0 }; // Nobody is connected.
      reason = refusal(response.status, body);
      if (!ASK_AGAIN.has(response.status)) throw new Refused(reason);
      wait = Math.max(wait, Number(response.headers.get("retry-after")) || 0);
    } catch (error) {
      if (error instanceof Refused) throw error;
      reason = `No answer: ${told(error)}.`;
    }
    if (Date.now() + wait * 1000 >= deadline) throw new Refused(`${reason} Gave up after ${gateway.timeout} s.`);
    await sleep(wait * 1000);
  }
}

/** The gateway's problem (RFC 9457) as a sentence. */
function refusal(status: number, body: string): string {
  try {
    const { title, detail } = JSON.parse(body);
    return `Refused (${status}): ${title}. ${detail ?? ""}`.trim();
  } catch {
    return `Refused (${status}).`;
  }
}

function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || String(error.cause) : error.message;
}

/** The lines of standard input. (`readline` would also break them at U+2028.) */
async function* lines(): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) yield line.replace(/\r$/, "");
  }
  if (rest) yield rest;
}

async function main(): Promise<number> {
  let gateway: Gateway, data: string[];
  try {
    [gateway, data] = fromCommandLine();
  } catch (error) {
    console.error(told(error));
    return 2;
  }
  try {
    for await (const each of data.length > 0 ? data : lines())
      console.log(JSON.stringify(await publish(gateway, each)));
    return 0;
  } catch (error) {
    console.error(told(error));
    return 1;
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(0));
process.stdout.on("error", () => process.exit(141)); // Nobody reads the answers any more: as SIGPIPE ends others.
process.exit(await main());
