/** A publish that is tried again (`GATEWAY_DEDUPE_SECONDS`): answered as the first time, and delivered once. */

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { Answered } from "../src/topic/answered";
import { eventually, fetchGateway, get, KEY, publish, Subscriber } from "./gateway";

const tables = async (topic: string): Promise<unknown[]> =>
  runInDurableObject(env.TOPICS.getByName(topic), (_, state) =>
    state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT GLOB '_*'").toArray(),
  );

async function answer(topic: string, data: string, id: string): Promise<unknown> {
  const response = await publish(topic, data, id);
  return response.status === 200 ? response.json() : response.status;
}

it("answers a second try as the first, though the object slept and the subscriber left meanwhile", async () => {
  const subscriber = await Subscriber.open("topic=orders");
  const first = { id: "1", subscribers: 1, topics: { orders: 1 } };
  expect(await answer("orders", "once", "1")).toEqual(first);
  await evictDurableObject(env.TOPICS.getByName("orders"));
  expect(await answer("orders", "once", "1")).toEqual(first);
  expect(await answer("orders", "another", "2")).toEqual({ ...first, id: "2" });
  await eventually(() => subscriber.data.length === 2);
  expect(subscriber.data).toEqual(["once", "another"]);

  subscriber.close();
  await eventually(async () => (await get<{ total: number }>("/connections?topic=orders")).total === 0);
  expect(await answer("orders", "once", "1")).toEqual(first);
  expect(await answer("orders", "nobody", "3")).toBe(204);
});

it("hands an event to those of its topics that have not had it", async () => {
  const ofA = await Subscriber.open("topic=a");
  const ofB = await Subscriber.open("topic=b");
  const ofBoth = await Subscriber.open("topic=a,b");
  expect(await answer("a", "one", "1")).toEqual({ id: "1", subscribers: 2, topics: { a: 2 } });
  expect(await answer("a,b", "one", "1")).toEqual({ id: "1", subscribers: 4, topics: { a: 2, b: 2 } });
  expect(await answer("a,b", "two", "2")).toEqual({ id: "2", subscribers: 4, topics: { a: 2, b: 2 } });
  await eventually(() => [ofA, ofB, ofBoth].every(({ data }) => data.at(-1) === "two"));
  expect([ofA.data, ofB.data, ofBoth.data]).toEqual([
    ["one", "two"],
    ["one", "two"],
    ["one", "one", "two"],
  ]);
  expect(ofB.messages.flatMap(({ type, topics }) => (type === "event" ? [topics] : []))).toEqual([["b"], ["a", "b"]]);
});

it("delivers tries at the same moment once", async () => {
  const subscriber = await Subscriber.open("topic=x,y,z");
  const tries = await Promise.all(Array.from({ length: 5 }, () => answer("x,nobody,y,z", "once", "1")));
  expect(tries).toEqual(Array.from({ length: 5 }, () => ({ id: "1", subscribers: 3, topics: { x: 1, y: 1, z: 1 } })));
  await publish("z", "end", "2");
  await eventually(() => subscriber.data.includes("end"));
  expect(subscriber.data).toEqual(["once", "end"]);
});

it.each([
  ["before the other asked", "p", 0],
  ["after the other asked", "q", 2],
])(
  "gives a connection of two topics the event once, when one try has reached the first topic %s",
  async (_, x, late) => {
    const y = `${x}-other`;
    const topics = `${x},${y}`;
    const socket = await Subscriber.open(`topic=${topics}`);
    const response = await fetchGateway(`/sse?topic=${topics}`);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const stub = env.TOPICS.getByName(x);
    const event = { topics: [x, y], id: "1", data: "once", event: null, retry: null, time: "2026-01-01T00:00:00Z" };
    await stub.publish(event, "key of the earlier try");
    await runInDurableObject(stub, (instance) => {
      const { answered } = (instance as unknown as { here: { answered: Answered } }).here;
      const of = answered.of.bind(answered);
      // A publish asks before its body is read, and when it is handed out.
      let unseen = late;
      answered.of = (id, now) => (unseen-- > 0 ? null : of(id, now));
    });

    expect(await answer(topics, "once", "1")).toEqual({ id: "1", subscribers: 4, topics: { [x]: 2, [y]: 2 } });
    await publish(y, "end", "2");
    await eventually(() => socket.data.includes("end"));
    expect(socket.data).toEqual(["once", "end"]);
    let text = "";
    while (!text.includes("data: end")) text += (await reader?.read())?.value ?? "";
    expect(text.match(/^data: once$/gm)).toHaveLength(1);
    await reader?.cancel();
  },
);

it("remembers no publish that was dropped", async () => {
  expect(await answer("late", "x", "1")).toBe(204);
  const subscriber = await Subscriber.open("topic=late");
  expect(await answer("late", "x", "1")).toMatchObject({ subscribers: 1 });
  await eventually(() => subscriber.data.length === 1);
});

it("keeps an event once in a topic with history, whichever way it is published", async () => {
  expect(await answer("kept/a", "x", "1")).toEqual({ id: "1", subscribers: 0, topics: { "kept/a": 0 } });
  await Subscriber.open("topic=kept/a");
  const again = await fetchGateway("/api/v1/publish", {
    method: "POST",
    headers: { "x-api-key": KEY },
    body: JSON.stringify({ topics: ["kept/a"], id: "1", data: "x" }),
  });
  expect(await again.json()).toEqual({ id: "1", subscribers: 0, topics: { "kept/a": 0 } });
  expect((await get<{ total: number }>("/topics/kept%2Fa/events")).total).toBe(1);
});

it("forgets in time, and then keeps nothing", async () => {
  const subscriber = await Subscriber.open("topic=brief");
  const stub = env.TOPICS.getByName("brief");
  await publish("brief", "first", "1");
  await publish("brief", "other", "2");
  await runInDurableObject(stub, (_, state) => {
    state.storage.sql.exec("UPDATE answered SET until = 0 WHERE id = '1'");
  });
  await publish("brief", "again", "1");
  await eventually(() => subscriber.data.length === 3);
  subscriber.close();
  await eventually(async () => (await get<{ total: number }>("/connections?topic=brief")).total === 0);

  // What is still to be remembered is there after the alarm, and the alarm is set again.
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  expect(await answer("brief", "again", "1")).toMatchObject({ subscribers: 1 });
  await runInDurableObject(stub, (_, state) => {
    state.storage.sql.exec("UPDATE answered SET until = 0");
  });
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  expect(await tables("brief")).toEqual([]);
  expect(await answer("brief", "nobody", "1")).toBe(204);
});

it("does not answer a try as one that failed before everybody had the event", async () => {
  const subscribers = await Promise.all(Array.from({ length: 3 }, () => Subscriber.open("topic=wide")));
  const part = env.TOPICS.getByName("wide\n1");
  await runInDurableObject(part, (instance) => {
    const { out } = instance as unknown as { out: { deliver: unknown } };
    out.deliver = () => {
      throw new Error("this part is broken");
    };
  });
  expect(await answer("wide", "all", "1")).toBe(503);
  await runInDurableObject(part, (instance) => {
    Reflect.deleteProperty((instance as unknown as { out: object }).out, "deliver");
  });
  expect(await answer("wide", "all", "1")).toMatchObject({ subscribers: 3 });
  await eventually(() => subscribers.every(({ data }) => data.includes("all")));
});
