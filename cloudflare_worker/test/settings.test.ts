/** The settings: the reference's table is what the Worker does, and a wrong value answers every request with a 500. */

import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import page from "../../docs/reference/cloudflare.md?raw";
import worker from "../src/index";
import { NAMES, settingsOf, type Env, type Settings } from "../src/settings";

const REQUIRED = { GATEWAY_API_KEYS: "key" };

/** Variable to what its row says: the default, and the largest value where there is one. */
const ROWS = [...page.matchAll(/^\| `(GATEWAY_\w+)` \| (?:`([^`]*)`|\w+) \|(.*)\|$/gm)].map(
  ([, name = "", value = "", text = ""]) => {
    const [, most = "", mebibytes] = /at most ([\d,]+)( MiB)?/.exec(text) ?? [];
    return { name, value, most: Number(most.replaceAll(",", "")) * (mebibytes === undefined ? 1 : 1_048_576) };
  },
);

const read = (settings: Record<string, string>): Settings => settingsOf({ ...REQUIRED, ...settings } as unknown as Env);

afterEach(() => {
  vi.restoreAllMocks();
});

it("has a row for every setting", () => {
  expect(ROWS.map(({ name }) => name).sort()).toEqual([...NAMES].sort());
});

it.each(ROWS.filter(({ name }) => !(name in REQUIRED)))("has the default of $name", ({ name, value }) => {
  expect(read({ [name]: value })).toEqual(read({}));
});

it.each(ROWS.filter(({ most }) => most > 0))("has the bound of $name", ({ name, most }) => {
  expect(() => read({ [name]: `${most}` })).not.toThrow();
  expect(() => read({ [name]: `${most + 1}` })).toThrow(`${name} has a wrong value`);
});

const WRONG: [name: string, value: string][] = [
  ["GATEWAY_API_KEYS", ""],
  ["GATEWAY_API_KEYS", " , "],
  ["GATEWAY_API_KEYS", "two words"],
  ["GATEWAY_API_KEYS", "clé"],
  ["GATEWAY_MAX_TOPICS", "0"],
  ["GATEWAY_MAX_TOPICS", "1.5"],
  ["GATEWAY_MAX_EVENT_BYTES", "1 MB"],
  ["GATEWAY_MAX_BODY_BYTES", "-1"],
  ["GATEWAY_OUTBOX_EVENTS", "0"],
  ["GATEWAY_OUTBOX_BYTES", "1023"],
  ["GATEWAY_SLOW_READER", "drop"],
  ["GATEWAY_HEARTBEAT_SECONDS", "0"],
  ["GATEWAY_RETRY_MS", "3s"],
  ["GATEWAY_CORS_ORIGINS", "example.org"],
  ["GATEWAY_ADMIN_CORS_ORIGINS", "https://example.org/"],
  ["GATEWAY_MAX_CONNECTIONS", "many"],
  ["GATEWAY_MAX_CONNECTIONS_PER_CLIENT", ""],
  ["GATEWAY_METRICS_PUBLIC", "yes"],
  ["GATEWAY_BODY_TIMEOUT_SECONDS", "3601"],
  ["GATEWAY_HISTORY", "orders.*"],
  ["GATEWAY_HISTORY", "a=1,a=2"],
  ["GATEWAY_DEDUPE_SECONDS", "86401"],
  ["GATEWAY_TOPIC_SOCKETS", "0"],
  ["GATEWAY_LOG_LEVEL", "debug"],
  ["GATEWAY_REDIS_URL", "redis://127.0.0.1"],
];

it("knows a wrong value of every setting", () => {
  expect(NAMES.filter((name) => !WRONG.some(([wrong]) => wrong === name))).toEqual([]);
});

it.each(WRONG)(
  "answers 500 to everything while %s is '%s', and says in the log alone what is wrong",
  async (name, value) => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    for (const path of ["/health", "/sse?topic=a", "/dashboard/", "/nothing"]) {
      const request = new Request<unknown, IncomingRequestCfProperties>(`https://gateway.test${path}`);
      const answer = await worker.fetch(request, { ...env, [name]: value }, createExecutionContext());
      expect(answer.status).toBe(500);
      expect(await answer.text()).not.toContain("GATEWAY_");
      expect(log.mock.lastCall?.[0]).toContain(name);
    }
  },
);
