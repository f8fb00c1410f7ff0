/** A topic's object: hibernation, parts, relays, and what is kept. */

import { createExecutionContext, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { Log } from "../src/history/log";
import { eventually, fetchGateway, get, KEY, publish, Subscriber } from "./gateway";

async function open(count: number, topic: string): Promise<Subscriber[]> {
  const subscribers = await Promise.all(Array.from({ length: count }, () => Subscriber.open(`topic=${topic}`)));
  await eventually(() => subscribers.every(({ messages }) => messages.length === 1));
  return subscribers;
}

it("wakes an object that hibernates with 100 sockets: all of them get events, and the counts are right", async () => {
  const subscribers = await open(100, "asleep");
  await publish("asleep", "before", "a");
  const stub = env.TOPICS.getByName("asleep");
  const life = await runInDurableObject(stub, (instance) => {
    Object.assign(instance, { firstLife: true });
    return "firstLife" in instance;
  });
  expect(life).toBe(true);

  await evictDurableObject(stub);
  const response = await publish("asleep", "after", "b");

  expect(await response.json()).toEqual({ id: "b", subscribers: 100, topics: { asleep: 100 } });
  expect(await runInDurableObject(stub, (instance) => "firstLife" in instance)).toBe(false);
  await eventually(() => subscribers.every(({ data }) => data.length === 2));
  expect(subscribers.every(({ data }) => data.join() === "before,after")).toBe(true);
  const listed = await get<{ items: Record<string, unknown>[] }>("/topics?q=asleep");
  expect(listed.items[0]).toMatchObject({ connections: 100, events: 2, last_event: { id: "b" } });
  const connections = await get<{ items: { sent: number }[]; total: number }>("/connections?topic=asleep&limit=1");
  expect([connections.total, connections.items[0]?.sent]).toEqual([100, 2]);

  subscribers.forEach((subscriber) => subscriber.close());
  await eventually(async () => (await publish("asleep", "nobody")).status === 204);
  await eventually(async () => (await get<{ total: number }>("/connections?topic=asleep")).total === 0);
});

it("answers a ping without waking the object", async () => {
  const [subscriber] = await open(1, "pinged");
  const stub = env.TOPICS.getByName("pinged");
  await runInDurableObject(stub, (instance) => {
    Object.assign(instance, { firstLife: true });
  });
  await evictDurableObject(stub);
  subscriber?.send('{"type":"ping"}');
  await eventually(() => subscriber?.messages.at(-1)?.["type"] === "pong");
});

it("spreads a topic over parts past its bound of sockets, in one order and with right counts", async () => {
  const subscribers = [...(await open(120, "wide")), ...(await open(130, "wide"))];
  const parts = await runInDurableObject(env.TOPICS.getByName("wide"), (_, { storage }) =>
    storage.sql.exec<{ connections: number }>("SELECT connections FROM parts").toArray(),
  );
  expect(parts.reduce((sum, { connections }) => sum + connections, 0)).toBe(130);
  expect(parts.every(({ connections }) => connections <= 120)).toBe(true);

  const answers = await Promise.all(["1", "2", "3", "4"].map((id) => publish("wide", id, id)));
  for (const answer of answers) expect(await answer.json()).toMatchObject({ subscribers: 250, topics: { wide: 250 } });
  await eventually(() => subscribers.every(({ data }) => data.length === 4));
  expect(new Set(subscribers.map(({ data }) => data.join())).size).toBe(1);

  // Both the whole and its parts are asleep when somebody leaves, and when the next event comes.
  await evictDurableObject(env.TOPICS.getByName("wide"));
  await evictDurableObject(env.TOPICS.getByName("wide\n1"));
  subscribers.slice(100, 200).forEach((subscriber) => subscriber.close());
  await eventually(
    async () => (await (await publish("wide", "x")).json<{ subscribers: number }>()).subscribers === 150,
  );
  subscribers.forEach((subscriber) => subscriber.close());
  await eventually(async () => (await publish("wide", "nobody")).status === 204);
});

it("remembers through hibernation which other topics a socket holds", async () => {
  const [subscriber] = await open(1, "home");
  subscriber?.send({ type: "subscribe", topics: ["away", "far"] });
  await eventually(() => subscriber?.messages.at(-1)?.["type"] === "subscribed");
  for (const name of ["home", "away", "far"]) await evictDurableObject(env.TOPICS.getByName(name));

  expect((await publish("home,away,far", "once")).status).toBe(200);
  expect((await publish("away", "then")).status).toBe(200);
  await eventually(() => subscriber?.data.length === 2);
  expect(subscriber?.data).toEqual(["once", "then"]);

  subscriber?.close();
  await eventually(async () => (await publish("away", "nobody")).status === 204);
  const stored = await runInDurableObject(env.TOPICS.getByName("away"), (_, state) =>
    state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'relays'").toArray(),
  );
  expect(stored).toEqual([]);
});

it("takes a connection whose object crashed out of the lists", async () => {
  await open(1, "crashed");
  await evictDurableObject(env.TOPICS.getByName("crashed"), { webSockets: "close" });
  await eventually(async () => (await get<{ items: object[] }>("/connections?topic=crashed")).items.length === 0);
  expect((await publish("crashed", "nobody")).status).toBe(204);
});

it("never reads the body of a publish that is dropped", async () => {
  let read = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        read += 1;
        controller.enqueue(new TextEncoder().encode("x"));
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const headers = { authorization: `Bearer ${KEY}`, "x-sse-topic": "unread", "x-sse-id": "1" };
  const { default: worker } = await import("../src/index");
  const request = () => new Request("https://gateway.test/publish", { method: "POST", headers, body });
  const dropped = await worker.fetch(request(), env, createExecutionContext());
  expect([dropped.status, dropped.headers.get("x-sse-dropped"), read]).toEqual([204, "no-subscribers", 0]);

  // The same stream is read once somebody is there: the recording records.
  await open(1, "unread");
  expect((await worker.fetch(request(), env, createExecutionContext())).status).toBe(200);
  expect(read).toBe(1);
});

it("keeps what may be kept, through hibernation, and lets go of it in time", async () => {
  const stub = env.TOPICS.getByName("kept/a");
  for (const id of ["1", "2", "3"]) await publish("kept/a", `data ${id}`, id);
  await evictDurableObject(stub);
  for (const id of ["4", "5", "6", "7"]) await publish("kept/a", `data ${id}`, id);
  const page = await get<{ items: { number: number }[]; total: number }>("/topics/kept%2Fa/events");
  expect([page.total, page.items.map(({ number }) => number)]).toEqual([5, [7, 6, 5, 4, 3]]);

  const resumed = await Subscriber.open("topic=kept/a&last_event_id=5");
  await eventually(() => resumed.data.length === 2);
  await publish("kept/a", "live", "8");
  await eventually(() => resumed.data.length === 3);
  expect(resumed.data).toEqual(["data 6", "data 7", "live"]);

  const late = await Subscriber.open("topic=kept/a&last_event_id=1");
  await eventually(() => late.data.length === 5);
  expect(late.messages[1]).toEqual({ type: "gap", topic: "kept/a", missed: 2, reason: "evicted" });

  await runInDurableObject(stub, (_, state) => {
    state.storage.sql.exec("UPDATE events SET at = 0");
  });
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  expect((await get<{ total: number }>("/topics/kept%2Fa/events")).total).toBe(0);
});

it("reads as many rows for a publish, however many events are kept", async () => {
  const stub = env.TOPICS.getByName("many/a");
  await publish("many/a", "first", "first");
  const read = await runInDurableObject(stub, (instance, state) => {
    const { log } = (instance as unknown as { here: { log: Log } }).here;
    const event = { topics: ["many/a"], data: "x", event: null, retry: null, time: "2026-01-01T00:00:00Z" };
    const reads: number[] = [];
    for (let number = 0; number < 300; number += 1) {
      const { sql } = state.storage;
      const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
      const exec = (query: string, ...values: SqlStorageValue[]) => {
        const cursor = sql.exec(query, ...values);
        cursors.push(cursor);
        return cursor;
      };
      Object.assign(log, { sql: { exec } });
      log.append({ ...event, id: String(number) }, "", Date.now());
      expect([log.size, log.oldest === null]).toEqual([number + 2, false]);
      reads.push(cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0));
      Object.assign(log, { sql });
    }
    return reads;
  });
  expect(Math.max(...read.slice(-100))).toBeLessThanOrEqual(Math.max(...read.slice(0, 100)));
});

it("tells an unknown id, and gives all that is kept", async () => {
  for (const id of ["1", "2"]) await publish("kept/b", id, id);
  const response = await fetchGateway("/sse?topic=kept/b", { headers: { "last-event-id": "never-seen" } });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("data: 2")) text += (await reader?.read())?.value ?? "";
  expect(text).toContain('event: gateway.gap\ndata: {"topic":"kept/b","missed":null,"reason":"unknown-id"}\n\nid: 1\n');
  await reader?.cancel();
});

it("knows through hibernation what it has counted, though another object has its only socket", async () => {
  const subscriber = await Subscriber.open("topic=here,counting");
  for (const id of ["1", "2"]) expect((await publish("counting", id, id)).status).toBe(200);
  await evictDurableObject(env.TOPICS.getByName("counting"));
  expect((await publish("counting", "3", "3")).status).toBe(200);
  const listed = await get<{ items: object[] }>("/topics?q=counting");
  expect(listed.items[0]).toMatchObject({ connections: 1, events: 3, last_event: { id: "3" } });

  // Gone, and come again: it begins anew.
  subscriber.close();
  await eventually(async () => (await publish("counting", "nobody")).status === 204);
  await open(1, "counting");
  expect((await get<{ items: object[] }>("/topics?q=counting")).items[0]).toMatchObject({
    events: 0,
    last_event: null,
  });
});
