/** Topics over their bound of sockets: what the whole believes of its parts is what they have. */

import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { LINK_HEADER } from "../src/wire/link";
import { eventually, publish, Subscriber } from "./gateway";

async function open(topic: string): Promise<Subscriber> {
  const subscriber = await Subscriber.open(`topic=${topic}`);
  await eventually(() => subscriber.messages.length === 1);
  return subscriber;
}

async function subscribers(topic: string): Promise<unknown> {
  const response = await publish(topic, "x", crypto.randomUUID());
  return response.status === 200 ? (await response.json<{ subscribers: number }>()).subscribers : response.status;
}

it("passes a part by that is full of sockets which have left the topic", async () => {
  const all = [await open("passed"), await open("passed"), await open("passed"), await open("passed")];
  for (const subscriber of all.slice(2)) subscriber.send({ type: "unsubscribe", topics: ["passed"] });
  await eventually(() => all.slice(2).every(({ messages }) => messages.length === 2));
  const late = [await open("passed"), await open("passed"), await open("passed")];
  expect(await subscribers("passed")).toBe(5);
  await eventually(() => late.every(({ data }) => data.length === 1));
});

it("counts no socket that was sent to a part and never came", async () => {
  await open("awaited");
  await open("awaited");
  const link = { id: "never", format: "sse", node: "test" };
  const headers = { upgrade: "websocket", [LINK_HEADER]: encodeURIComponent(JSON.stringify(link)) };
  const answer = await env.TOPICS.getByName("awaited").fetch("https://topic/", { headers });
  expect(await answer.json()).toMatchObject({ part: 1 });
  expect(await subscribers("awaited")).toBe(2);
});

it("finds out with the next event that a part has crashed", async () => {
  const all = [await open("hurt"), await open("hurt"), await open("hurt")];
  expect(await subscribers("hurt")).toBe(3);
  await evictDurableObject(env.TOPICS.getByName("hurt\n1"), { webSockets: "close" });
  expect(await subscribers("hurt")).toBe(2);
  all.slice(0, 2).forEach((subscriber) => subscriber.close());
  await eventually(async () => (await subscribers("hurt")) === 204);
});
