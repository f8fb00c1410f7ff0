/** An object that nobody asks for anything goes to sleep by itself, whatever its subscribers are, and still delivers. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { eventually, fetchGateway, publish, Subscriber } from "./gateway";

/** The runtime lets an object go that has been idle for ten seconds. */
const IDLE_SECONDS = 12;
const TRIES = 4;

it("hibernates with 100 idle subscribers, and delivers after waking", { timeout: 90_000 }, async () => {
  const sockets = await Promise.all(Array.from({ length: 90 }, () => Subscriber.open("topic=idle")));
  const streams = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const response = await fetchGateway("/sse?topic=idle");
      if (response.body === null) throw new Error(`${response.status}`);
      return response.body.pipeThrough(new TextDecoderStream()).getReader();
    }),
  );
  const read = streams.map(() => "");
  const readers = streams.map(async (stream, index) => {
    for (let part = await stream.read(); !part.done; part = await stream.read()) {
      read[index] = (read[index] ?? "") + part.value;
    }
  });
  await eventually(() => sockets.every(({ messages }) => messages.length === 1));
  await eventually(() => read.every((text) => text.includes("gateway.open")));

  const stub = env.TOPICS.getByName("idle");
  const lives = new Set<object>();
  let asleep = false;
  for (let tries = 0; tries < TRIES && !asleep; tries += 1) {
    // To look wakes it: so look seldom.
    asleep = await runInDurableObject(stub, (instance) => {
      const known = lives.size > 0 && !("seen" in instance);
      Object.assign(instance, { seen: true });
      lives.add(instance);
      return known;
    });
    if (!asleep) await scheduler.wait(IDLE_SECONDS * 1000);
  }
  expect(asleep).toBe(true);

  const response = await publish("idle", "awake", "a");
  expect(await response.json()).toEqual({ id: "a", subscribers: 100, topics: { idle: 100 } });
  await eventually(() => sockets.every(({ data }) => data.join() === "awake"));
  await eventually(() => read.every((text) => text.includes("id: a\ndata: awake\n")));
  sockets.forEach((socket) => socket.close());
  await Promise.all(streams.map((stream) => stream.cancel()));
  await Promise.all(readers);
});
