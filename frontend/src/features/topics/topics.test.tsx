import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";

import type { Topic } from "@/shared/api/types";
import { makeQueryClient } from "@/shared/query";
import { signIn } from "@/shared/session";
import { guarded, json, KEY, serve } from "@/test/gateway";

import { TopicsPage } from "./topics-page";

/** A gateway with so many topics, the last one with the most connections, on pages as they are asked for. */
function gatewayOf(amount: number) {
  const topics: Topic[] = Array.from({ length: amount }, (_, number) => ({
    name: `topic-${String(number).padStart(4, "0")}`,
    mode: "multicast",
    connections: number + 1,
    nodes: ["node-a"],
    events: 0,
    kept: null,
    last_event: null,
  }));
  return guarded((_, response, url) => {
    const start = Number(url.searchParams.get("cursor") ?? 0);
    const end = start + Number(url.searchParams.get("limit"));
    const next = end < amount ? String(end) : null;
    json(response, 200, { items: topics.slice(start, end), next, total: amount });
  });
}

test("a topic that keeps events is there though nobody is connected, and leads to them", async () => {
  signIn(KEY);
  const topics: Topic[] = [
    { name: "idle", mode: "idle", connections: 0, nodes: [], events: 1500, kept: 1000, last_event: null },
    { name: "live", mode: "unicast", connections: 1, nodes: ["node-a"], events: 0, kept: null, last_event: null },
  ];
  await serve(guarded((_, response) => json(response, 200, { items: topics, next: null, total: 2 })));
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <TopicsPage />
    </QueryClientProvider>,
  );
  expect(await screen.findByText("2 topics, page 1 of 1")).toBeVisible();
  const kept = screen.getByTitle("Tail, beginning with the last 100 kept events");
  expect(kept).toHaveTextContent("1,000");
  expect(kept).toHaveAttribute("href", "?view=tail&topic=idle&last=100");
  expect(screen.getAllByText("idle")).toHaveLength(2);
});

test("sorting orders all topics, not those of one page", async () => {
  signIn(KEY);
  const { requests } = await serve(gatewayOf(1201));
  window.history.replaceState(null, "", "/dashboard/?limit=50");
  render(
    <QueryClientProvider client={makeQueryClient()}>
      <TopicsPage />
    </QueryClientProvider>,
  );
  expect(await screen.findByText("1,201 topics, page 1 of 25")).toBeVisible();
  // By text: the roles of a thousand elements take jsdom seconds.
  const topics = () => screen.getAllByText(/^topic-\d/);
  expect(topics()[0]).toHaveTextContent("topic-0000");
  await userEvent.click(screen.getByText("Connections"));
  expect(topics()).toHaveLength(50);
  expect(topics()[0]).toHaveTextContent("topic-1200");
  expect(topics()[49]).toHaveTextContent("topic-1151");
  await userEvent.click(screen.getByLabelText("Next page"));
  expect(topics()[0]).toHaveTextContent("topic-1150");
  expect(requests.filter((request) => request.includes("cursor=1000"))).not.toHaveLength(0);
});
