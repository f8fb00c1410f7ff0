/** `GET /api/events`, as clients of an older service ask for it. */

import { expect, it } from "vitest";
import { fetchGateway, publish } from "./gateway";

it.each([
  ["", "events"],
  ["?topic=news", "news"],
])("takes /api/events%s as a stream of %s", async (query, topic) => {
  const response = await fetchGateway(`/api/events${query}`);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await publish(topic, "hello")).status).toBe(200);
  let text = "";
  while (!text.includes("data: hello")) text += (await reader?.read())?.value ?? "";
  expect(text).toContain(`"topics":["${topic}"]`);
  await reader?.cancel();
});

it("asks for a topic where none is meant", async () => {
  expect((await fetchGateway("/sse")).status).toBe(400);
});
