// Express: an endpoint that publishes. Run: npm ci && node express_app.js (PORT, else 8001).
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";

const url = process.env.GATEWAY_URL ?? "http://127.0.0.1:8000";
const askAgain = [408, 425, 429, 502, 503, 504];

/** Publishes one event, again with the same id where that can help; returns how many subscribers it had. */
async function publish(topic, data, event = "message", attempts = 5) {
  const headers = {
    authorization: `Bearer ${process.env.GATEWAY_API_KEY}`,
    "x-sse-topic": topic,
    "x-sse-id": randomUUID(),
    "x-sse-event": event,
  };
  for (let attempt = 1; ; attempt++) {
    let wait = 0.25 * 2 ** attempt * (1 - Math.random() / 2);
    try {
      const signal = AbortSignal.timeout(10_000);
      const answer = await fetch(`${url}/publish`, { method: "POST", headers, body: data, signal });
      const body = await answer.text();
      if (answer.status === 200) return JSON.parse(body).subscribers;
      if (answer.status === 204) return 0;
      wait = Math.max(wait, Number(answer.headers.get("retry-after")));
      const final = !askAgain.includes(answer.status);
      throw Object.assign(new Error(`The gateway answered ${answer.status}: ${body}`), { final });
    } catch (error) {
      if (error.final || attempt >= attempts) throw error;
    }
    await sleep(wait * 1000);
  }
}

const app = express();

app.post("/orders/:number/pay", async (request, response) => {
  const order = Number(request.params.number);
  const subscribers = await publish("orders", JSON.stringify({ order, state: "paid" }), "paid");
  response.json({ order, state: "paid", subscribers });
});

const server = app.listen(process.env.PORT ?? 8001, "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
