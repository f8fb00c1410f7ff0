/** Objects that fail or are slow in the middle of something: nobody is left waiting, and nothing is counted that is not there. */

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { NAME } from "../src/directory";
import { Held, Seen } from "../src/topic/holding";
import { Outgoing } from "../src/wire/link";
import { eventually, fetchGateway, get, KEY, publish, Subscriber } from "./gateway";

const total = async (path: string): Promise<number> => (await get<{ total: number }>(path)).total;

/** Replace a method of something that an object consists of; returns what puts it back. */
async function replace(topic: string, what: string, method: string, by: unknown): Promise<() => Promise<void>> {
  const stub = env.TOPICS.getByName(topic);
  const part = (instance: unknown) => (instance as Record<string, Record<string, unknown>>)[what] ?? {};
  const own = await runInDurableObject(stub, (instance) => {
    const before = Object.getOwnPropertyDescriptor(part(instance), method);
    Object.defineProperty(part(instance), method, { value: by, configurable: true, writable: true });
    return before;
  });
  return () =>
    runInDurableObject(stub, (instance) => {
      Reflect.deleteProperty(part(instance), method);
      if (own !== undefined) Object.defineProperty(part(instance), method, own);
    });
}

const broken = (): never => {
  throw new Error("broken for a test");
};

async function open(topics: string): Promise<Subscriber> {
  const subscriber = await Subscriber.open(`topic=${topics}`);
  await eventually(() => subscriber.messages.length === 1);
  return subscriber;
}

it("takes those who leave out of the lists though the directory has been restarted meanwhile", async () => {
  const subscribers = [await open("restarted"), await open("restarted")];
  subscribers[0]?.close();
  await eventually(async () => (await total("/connections?topic=restarted")) === 1);
  await runInDurableObject(env.DIRECTORY.getByName(NAME), (_, state) => {
    state.abort("restarted for a test");
  }).catch(() => undefined);
  subscribers[1]?.close();
  await eventually(async () => (await total("/connections?topic=restarted")) === 0);
  await eventually(async () => (await total("/topics?q=restarted")) === 0);
});

it("closes a WebSocket whose command it cannot carry out, for the client to come back", async () => {
  const subscriber = await open("willing");
  const mend = await replace("unwilling", "here", "ledger", { addRelay: broken, removeRelay: broken });
  subscriber.send({ type: "subscribe", topics: ["unwilling"] });
  await eventually(() => subscriber.closed);
  await mend();
  await eventually(async () => (await publish("willing", "nobody")).status === 204);
  await eventually(async () => (await total("/connections?topic=willing")) === 0);
});

it("ends a connection whose past cannot be read, and does not let it wait for ever", async () => {
  for (const id of ["1", "2"]) await publish("kept/broken", id, id);
  const mend = await replace("kept/broken", "here", "log", {
    ...{
      evict: () => undefined,
      storedAt: () => 1,
      locate: () => ({ after: 1, last: 2, gaps: [] }),
      read: broken,
      newest: () => [],
    },
  });
  const socket = await Subscriber.open("topic=kept/broken&last_event_id=1");
  const response = await fetchGateway("/sse?topic=kept/broken", { headers: { "last-event-id": "1" } });
  const text = await response.text();
  expect(text).toContain("gateway.open");
  await eventually(() => socket.closed);
  await mend();
});

it("answers 503, not 500, when a subscriber's object fails", async () => {
  const mend = await replace("unlucky", "here", "calls", { to: broken });
  const response = await fetchGateway("/ws?topic=unlucky,other", { headers: { upgrade: "websocket" } });
  await response.text();
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
  await mend();
});

it("keeps a topic for a connection that came back to it while its home was asked for an event", async () => {
  const subscriber = await open("at-home");
  subscriber.send({ type: "subscribe", topics: ["elsewhere"] });
  await eventually(() => subscriber.messages.length === 2);
  const id = String(subscriber.messages[0]?.["connection"]);
  let asked = false;
  let answer: (value: object) => void = () => undefined;
  const mend = await replace("at-home", "relays", "take", () => {
    asked = true;
    return new Promise((resolve) => (answer = resolve));
  });
  const published = publish("elsewhere", "between", "1");
  await eventually(() => asked);
  subscriber.send({ type: "unsubscribe", topics: ["elsewhere"] });
  subscriber.send({ type: "subscribe", topics: ["elsewhere"] });
  await eventually(() => subscriber.messages.length === 4);
  await runInDurableObject(env.TOPICS.getByName("at-home"), () => {
    answer({ gone: [id], delivered: 0 });
  });
  await published;
  await mend();
  expect(await (await publish("elsewhere", "after", "2")).json()).toMatchObject({ subscribers: 1 });
  await eventually(() => subscriber.data.join() === "after");
});

it("remembers of any number of connections that an event has come", () => {
  const seen = new Seen();
  const ids = Array.from({ length: 10_000 }, (_, number) => `${number}`);
  expect(ids.every((id) => seen.first(id, "key"))).toBe(true);
  expect(ids.some((id) => seen.first(id, "key"))).toBe(false);
});

it("does not take a connection that is being opened out of the lists", async () => {
  const stub = env.TOPICS.getByName("opening");
  await runInDurableObject(stub, (instance) => {
    (instance as unknown as { out: { held: { begin: (id: string) => void } } }).out.held.begin("half-open");
  });
  const directory = env.DIRECTORY.getByName(NAME);
  const row = { id: "half-open", topics: ["opening"], transport: "websocket" as const, node: "test", home: "opening" };
  await directory.attach({ ...row, client: "", userAgent: "" }, { all: 0, client: 0 });
  expect(await total("/connections?topic=opening")).toBe(1);
  await get("/topics?q=opening");
  expect(await total("/connections?topic=opening")).toBe(1);
  await directory.detach("half-open", null);
});

it("lets go of the topics of a WebSocket whose home crashed", async () => {
  await open("crashing,left-behind");
  await evictDurableObject(env.TOPICS.getByName("crashing"), { webSockets: "close" });
  expect((await publish("left-behind", "nobody")).status).toBe(204);
  await eventually(async () => (await total("/connections?topic=left-behind")) === 0);
  const stored = await runInDurableObject(env.TOPICS.getByName("crashing"), (_, state) =>
    state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'extras'").toArray(),
  );
  expect(stored).toEqual([]);
});

it("carries out what a client asks for after it has been given what it missed", async () => {
  for (let number = 1; number <= 300; number += 1) await publish("many/first", `${number}`, `${number}`);
  for (const id of ["1", "x", "y"]) await publish("many/second", id, id);
  const subscriber = await Subscriber.open("topic=at-home-too,many/first&last_event_id=1");
  subscriber.send({ type: "subscribe", topics: ["many/second"], last_event_id: "1" });
  await eventually(() => subscriber.data.includes("y"));
  await publish("many/second", "live", "live");
  await eventually(() => subscriber.data.includes("live"));
  const order = subscriber.messages.map(({ type, data }) => (type === "event" ? data : type));
  const missed = Array.from({ length: 299 }, (_, index) => `${index + 2}`);
  expect(order).toEqual(["open", ...missed, "subscribed", "x", "y", "live"]);
});

it("gives everybody who asks at the same time a stream's figures", async () => {
  const response = await fetchGateway("/sse?topic=asked");
  const { items } = await get<{ items: { id: string }[] }>("/connections?topic=asked");
  const path = `/connections/${items[0]?.id}`;
  const all = await Promise.all([1, 2, 3].map(() => get<{ pending: number | null }>(path)));
  expect(all.map(({ pending }) => pending)).toEqual([0, 0, 0]);
  await response.body?.cancel();
});

it("tells a stream of several topics once that it is closed", async () => {
  const response = await fetchGateway("/sse?topic=one,two,three");
  const { items } = await get<{ items: { id: string }[] }>("/connections?topic=two");
  const path = `/api/v1/connections/${items[0]?.id}`;
  const deleted = await fetchGateway(path, { method: "DELETE", headers: { "x-api-key": KEY } });
  expect(deleted.status).toBe(204);
  expect((await response.text()).match(/event: gateway.close/g)).toHaveLength(1);
});

it("counts the last seconds in as much memory, however many Workers tell of them", async () => {
  const directory = env.DIRECTORY.getByName(NAME);
  for (let number = 0; number < 200; number += 1) {
    await directory.count("test", { published: 1, delivered: 0, dropped: 0, gaps: 0 });
  }
  const kept = await runInDurableObject(
    directory,
    (instance) => (instance as unknown as { counters: { recent: object[] } }).counters.recent,
  );
  expect(kept.length).toBeLessThanOrEqual(12);
});

it("takes a topic whose object crashed out of the list of topics", async () => {
  await open("crashed-topic");
  await evictDurableObject(env.TOPICS.getByName("crashed-topic"), { webSockets: "close" });
  expect((await get<{ items: object[] }>("/topics?q=crashed-topic")).items).toEqual([]);
  expect([await total("/topics?q=crashed-topic"), await total("/connections?topic=crashed-topic")]).toEqual([0, 0]);
});

it("finds by itself whom a crash has taken, and nobody else", async () => {
  const directory = env.DIRECTORY.getByName(NAME);
  const subscribers = await Promise.all(Array.from({ length: 60 }, (_, index) => open(`swept-${index % 20},sweeping`)));
  const response = await fetchGateway("/sse?topic=swept-0,staying");
  for (let index = 0; index < 10; index += 1) {
    await evictDurableObject(env.TOPICS.getByName(`swept-${index}`), { webSockets: "close" });
  }
  const all = { limit: 500, after: null, node: null, transport: null };
  await eventually(async () => {
    await runDurableObjectAlarm(directory);
    return (await directory.connections({ ...all, topic: "sweeping" })).total === 30;
  });
  // Of the stream one object has crashed: it ends with it.
  await eventually(async () => (await directory.connections({ ...all, topic: "staying" })).total === 0);
  expect((await get<{ connections: number }>("/stats")).connections).toBe(await total("/connections"));
  subscribers.forEach((subscriber) => subscriber.close());
  await response.body?.cancel().catch(() => undefined);
  await eventually(async () => (await total("/connections?topic=sweeping")) === 0);
});

it("counts connections right from the first that is asked for, and looks for the gone when it is full", async () => {
  const directory = env.DIRECTORY.getByName("a directory of its own");
  const row = { topics: ["t"], transport: "websocket" as const, node: "test", home: "nobody-there", userAgent: "" };
  const attach = (id: string, client: string, all: number, each: number) =>
    directory.attach({ ...row, id, client }, { all, client: each });
  expect([await attach("1", "a", 0, 0), await attach("2", "b", 0, 0), await attach("3", "b", 3, 2)]).toEqual(
    Array.from({ length: 3 }, () => "listed"),
  );
  expect([await attach("4", "c", 3, 0), await attach("4", "b", 0, 2)]).toEqual(["full", "full-client"]);
  await directory.detach("3", null);
  expect([await attach("5", "b", 3, 2), await attach("6", "b", 9, 2)]).toEqual(["listed", "full-client"]);
  await eventually(async () => (await directory.totals()).connections === 0);
  expect(await attach("7", "b", 1, 1)).toBe("listed");
});

it("keeps back from a slow reader no more than may be kept back, in events and in size", () => {
  const outgoing = (size: number) => {
    const event = { topics: ["t"], id: "1", data: "x".repeat(size), event: null, retry: null, time: "" };
    return new Outgoing(event, "", "t", 1);
  };
  const held = new Held({ events: 3, size: 100 });
  held.begin("many");
  expect([1, 1, 1, 1].map((size) => held.push("many", outgoing(size)))).toEqual([true, true, true, false]);
  held.begin("large");
  expect([50, 50, 1].map((size) => held.push("large", outgoing(size)))).toEqual([true, true, false]);
});

it("loses no count that the directory could not take", async () => {
  let refused = false;
  const before = (await get<{ published: number }>("/stats")).published;
  await open("counted");
  await eventually(async () => (await publish("counted", "a", "a")).status === 200);
  const directory = env.DIRECTORY.getByName(NAME);
  await runInDurableObject(directory, (instance) => {
    const seen = () => {
      refused = true;
      broken();
    };
    Object.assign(instance, { seen });
  });
  await publish("counted", "b", "b");
  await eventually(() => refused);
  await runInDurableObject(directory, (instance) => {
    Reflect.deleteProperty(instance, "seen");
  });
  await publish("counted", "c", "c");
  await eventually(async () => (await get<{ published: number }>("/stats")).published >= before + 3);
});
