/** What a client of several topics missed: one order over all of them, so that it may be cut off in the middle. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { eventually, fetchGateway, publish, Subscriber } from "./gateway";

const SECONDS_BETWEEN = 10;

/** Publish events 1, 2, 3 … to the topics in turn, and let them be ten seconds apart. */
async function keep(topics: readonly string[], count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  for (const number of numbers) {
    const topic = topics[number % topics.length] ?? "";
    expect((await publish(topic, `${number}`, `${number}`)).status).toBe(200);
  }
  const start = Date.now() - 1000 * SECONDS_BETWEEN * (count + 1);
  for (const name of new Set(topics.flatMap((topic) => topic.split(",")))) {
    await runInDurableObject(env.TOPICS.getByName(name), (_, { storage }) => {
      for (const number of numbers) {
        const at = start + 1000 * SECONDS_BETWEEN * number;
        const time = new Date(at).toISOString();
        storage.sql.exec("UPDATE events SET at = ?, time = ? WHERE id = ?", at, time, `${number}`);
      }
    });
  }
}

/** Ids of the next events of a stream that goes on behind an id. */
async function resumed(topics: string, lastId: string, count: number): Promise<string[]> {
  const response = await fetchGateway(`/sse?topic=${topics}`, { headers: { "last-event-id": lastId } });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const ids = () => [...text.matchAll(/^id: (.*)$/gm)].map(([, id = ""]) => id);
  while (ids().length < count) {
    const part = await reader?.read();
    if (part === undefined || part.done) break;
    text += part.value;
  }
  await reader?.cancel();
  return ids();
}

it("gives what was missed in several topics in the order of its publishing, over both transports", async () => {
  const topics = ["kept/x", "kept/y", "kept/x,kept/y"];
  await keep(topics, 7);
  expect(await resumed("kept/x,kept/y", "1", 6)).toEqual(["2", "3", "4", "5", "6", "7"]);
  const socket = await Subscriber.open("topic=kept/x,kept/y&last_event_id=1");
  await eventually(() => socket.data.length === 6);
  expect(socket.data).toEqual(["2", "3", "4", "5", "6", "7"]);
  expect((await publish("kept/y", "live", "8")).status).toBe(200);
  await eventually(() => socket.data.length === 7);
  socket.close();
});

it("loses nothing when a client is cut off while it is given what it missed", async () => {
  const topics = ["kept/v", "kept/w"];
  await keep(topics, 8);
  const seen = ["1"];
  while (seen.length < 8) seen.push(...(await resumed(topics.join(), seen.at(-1) ?? "", 1)).slice(0, 1));
  expect(seen).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"]);
});

it("goes on with live events behind a replay of many pages, each once", async () => {
  const topic = "many/a";
  for (let number = 1; number <= 300; number += 1) await publish(topic, `${number}`, `${number}`);
  const socket = await Subscriber.open(`topic=${topic},many/b&last_event_id=1`);
  const streaming = resumed(`${topic},many/b`, "1", 399);
  await Promise.all(
    Array.from({ length: 100 }, (_, index) => publish(index % 2 ? "many/b" : topic, "live", `live-${index}`)),
  );
  const ids = await streaming;
  await eventually(() => socket.data.length === 399);
  expect(ids.slice(0, 299)).toEqual(Array.from({ length: 299 }, (_, index) => `${index + 2}`));
  expect(new Set(ids).size).toBe(399);
  expect(socket.data.slice(0, 299)).toEqual(Array.from({ length: 299 }, (_, index) => `${index + 2}`));
});
