import { afterEach, beforeEach, expect, test } from "vitest";

import { signIn, signOut } from "@/shared/session";
import { guarded, json, KEY, serve } from "@/test/gateway";

import type { Entry } from "./entries";
import { follow, type Status } from "./follow";

beforeEach(() => signIn(KEY));
afterEach(signOut);

async function until<Value>(look: () => Value | undefined | false): Promise<Value> {
  const deadline = Date.now() + 5000;
  for (;;) {
    const value = look();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error("It did not happen in time.");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function begin(silence?: number, last = 0) {
  const entries: Entry[] = [];
  const statuses: Status[] = [];
  const controller = new AbortController();
  const done = follow({
    topic: "a&b",
    last,
    signal: controller.signal,
    onEntry: (entry) => entries.push(entry),
    onStatus: (status) => statuses.push(status),
    ...(silence === undefined ? {} : { silence }),
  });
  return { entries, statuses, done, stop: () => controller.abort() };
}

const OPEN = 'retry: 20\nevent: gateway.open\ndata: {"topic":"a&b","node":"n1"}\n\n';
const EVENT = 'event: published\ndata: {"topics":["a&b"],"id":"1","data":"☃","time":"t"}\n\n';

test("it reads, and comes back after the stream ends, saying so", async () => {
  const { requests } = await serve(
    guarded((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      // A character cut in two pieces arrives whole.
      const bytes = Buffer.from(OPEN + EVENT);
      const cut = bytes.indexOf("☃") + 1;
      response.write(bytes.subarray(0, cut));
      setTimeout(() => response.end(bytes.subarray(cut)), 20);
    }),
  );
  const { entries, statuses, done, stop } = begin();
  await until(() => entries.filter(({ kind }) => kind === "published").length >= 2);
  stop();
  await done;
  expect(requests[0]).toBe("GET /api/v1/tail?topic=a%26b");
  expect(entries.slice(0, 4)).toMatchObject([
    { kind: "published", data: "☃" },
    { kind: "notice", text: "The gateway ended the stream." },
    { kind: "notice", text: "Connected again, to n1. What was published meanwhile is not shown." },
    { kind: "published" },
  ]);
  expect(statuses.slice(0, 3).map(({ state }) => state)).toEqual(["connecting", "live", "waiting"]);
});

const event = (id: string) => `event: published\ndata: {"topics":["a&b"],"id":"${id}","data":"x","time":"t"}\n\n`;

test("it begins with kept events and marks them, and does not ask for them again when it comes back", async () => {
  const { requests } = await serve(
    guarded((_, response, url) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const kept = url.searchParams.has("last") ? 2 : 0;
      const open = `retry: 20\nevent: gateway.open\ndata: {"topic":"a&b","node":"n1","kept":${kept}}\n\n`;
      const dropped = 'event: dropped\ndata: {"topics":["a&b"],"id":"0","time":"t","reason":"no-subscribers"}\n\n';
      response.end(open + dropped + event("1") + event("2") + event("3"));
    }),
  );
  const { entries, done, stop } = begin(undefined, 2);
  await until(() => entries.filter(({ kind }) => kind === "published").length >= 6);
  stop();
  await done;
  expect(requests.slice(0, 2)).toEqual(["GET /api/v1/tail?topic=a%26b&last=2", "GET /api/v1/tail?topic=a%26b"]);
  const marks = entries.flatMap((entry) => (entry.kind === "published" ? [entry.kept] : []));
  expect(marks.slice(0, 6)).toEqual([true, true, false, false, false, false]);
});

test("it says so when nothing is kept that could come first", async () => {
  await serve(
    guarded((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(OPEN);
    }),
  );
  const { entries, done, stop } = begin(undefined, 10);
  const first = await until(() => entries[0]);
  stop();
  await done;
  expect(first).toMatchObject({ kind: "notice", text: "The topic keeps no event that could come first." });
});

test("it stops when the gateway refuses the topic", async () => {
  await serve(guarded((_, response) => json(response, 400, { type: "/problems/invalid-topic", detail: "No such." })));
  const { statuses, done } = begin();
  await done;
  expect(statuses.at(-1)).toEqual({ state: "refused", why: "No such." });
});

test("it tries again while the gateway cannot serve it, and tells of nothing missed before it was ever live", async () => {
  const { requests } = await serve((_, response) => json(response, 503, { detail: "Draining." }));
  const { entries, statuses, done, stop } = begin();
  await until(() => requests.length >= 2);
  stop();
  await done;
  expect(entries).toEqual([]);
  expect(statuses.find(({ state }) => state === "waiting")).toMatchObject({ why: "Draining." });
});

test("it leaves a connection that has fallen silent", async () => {
  await serve(
    guarded((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(OPEN);
    }),
  );
  const { entries, done, stop } = begin(50);
  await until(() => entries.find((entry) => entry.kind === "notice" && entry.text === "The connection fell silent."));
  stop();
  await done;
});
