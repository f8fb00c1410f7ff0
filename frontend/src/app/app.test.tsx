import { act, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { Connection, GatewayNode, SourceOnNode, Topic, Totals } from "@/shared/api/types";
import { keyRefused, signIn, signOut } from "@/shared/session";
import { guarded, json, KEY, serve, type Answer } from "@/test/gateway";

import { App } from "./app";

const RATES = { published: 0, delivered: 0, dropped: 0, gaps: 0 };
const TOTALS: Totals = { connections: 3, topics: 2, ...RATES, published: 1234, per_second: { ...RATES, dropped: 2.5 } };
const NODE: GatewayNode = {
  name: "node-a",
  host: "10.0.0.1",
  port: 8080,
  since: "2026-01-02T03:04:05Z",
  last_seen: "2026-01-02T03:04:05Z",
  silent: false,
  connections: 3,
  topics: 2,
  version: "0.1.0",
  draining: false,
};
const TOPIC: Topic = {
  name: "news",
  mode: "unicast",
  connections: 1,
  nodes: ["node-a"],
  events: 0,
  kept: null,
  last_event: null,
};
const CONNECTION: Connection = {
  id: "connection-1",
  topics: ["news", "prices"],
  transport: "sse",
  node: "node-a",
  client: "127.0.0.1",
  user_agent: "curl/8",
  since: "2026-01-02T03:04:05Z",
  sent: 7,
  pending: 80,
  pending_bytes: 81_920,
  behind_since: new Date(Date.now() - 65_000).toISOString(),
};

const SOURCE: SourceOnNode = {
  name: "redis-pubsub",
  node: "node-a",
  guarantee: "at-most-once",
  runs_on: "one-node",
  state: "running",
  since: "2026-01-02T03:04:05Z",
  detail: null,
  published: 1000,
  dropped: 5,
  dead: 2,
  restarts: 0,
};

interface Content {
  topics?: Topic[];
  connections?: Connection[];
  sources?: SourceOnNode[];
}

function gateway({ topics = [], connections = [], sources = [] }: Content = {}): Answer {
  return guarded((_, response, url) => {
    const list = (items: unknown[]) => json(response, 200, { items, next: null, total: items.length });
    if (url.pathname === "/api/v1/stats") json(response, 200, TOTALS);
    else if (url.pathname === "/api/v1/nodes") list([NODE]);
    else if (url.pathname === "/api/v1/sources") list(sources);
    else if (url.pathname === "/api/v1/topics")
      list(topics.filter(({ name }) => name.includes(url.searchParams.get("q") ?? "")));
    else if (url.pathname === "/api/v1/connections") list(connections);
    else json(response, 404, { detail: "Nothing there." });
  });
}

const open = (query: string) => window.history.replaceState(null, "", `/dashboard/${query}`);

afterEach(() => act(signOut));

describe("signing in", () => {
  test("a wrong key is told, the right one opens the dashboard", async () => {
    await serve(gateway());
    const user = userEvent.setup();
    render(<App />);
    await user.type(screen.getByLabelText("API key"), "wrong{Enter}");
    expect(await screen.findByRole("alert")).toHaveTextContent("does not take this key");
    expect(localStorage).toHaveLength(0);
    await user.clear(screen.getByLabelText("API key"));
    await user.type(screen.getByLabelText("API key"), `${KEY}{Enter}`);
    expect(await screen.findByRole("navigation", { name: "Views" })).toBeVisible();
  });

  test("a gateway that is away is not a wrong key", async () => {
    const { stop } = await serve(gateway());
    await stop();
    const user = userEvent.setup();
    render(<App />);
    await user.type(screen.getByLabelText("API key"), `${KEY}{Enter}`);
    expect(await screen.findByRole("alert")).toHaveTextContent("cannot be reached. Try again.");
  });

  test("a key that is refused later is asked for over the page", async () => {
    await serve(gateway({ topics: [TOPIC] }));
    signIn(KEY);
    render(<App />);
    await screen.findByRole("link", { name: "news" });
    act(() => keyRefused(KEY));
    const dialog = await screen.findByRole("dialog", { name: "The key is no longer taken" });
    const user = userEvent.setup();
    await user.type(within(dialog).getByLabelText("API key"), `${KEY}{Enter}`);
    await waitFor(() => expect(dialog).not.toBeInTheDocument());
    expect(screen.getByRole("link", { name: "news" })).toBeVisible();
  });
});

describe("signed in", () => {
  beforeEach(() => signIn(KEY));

  test("no topic: what to do next", async () => {
    await serve(gateway());
    render(<App />);
    expect(await screen.findByRole("heading", { name: "No topic exists now" })).toBeVisible();
    expect(screen.getByText(/curl -N/)).toBeVisible();
  });

  test("totals and the nodes' health", async () => {
    await serve(gateway());
    render(<App />);
    expect(await screen.findByText("1,234")).toBeVisible();
    expect(screen.getByText("2.5/s")).toBeVisible();
    await userEvent.click(await screen.findByRole("button", { name: /1 node/ }));
    expect(await screen.findByText("healthy")).toBeVisible();
  });

  test("message sources, how they are on each node, and why one fails", async () => {
    const others: SourceOnNode[] = [
      { ...SOURCE, node: "node-b", state: "standby", published: 234 },
      { ...SOURCE, name: "postgres", state: "failing", detail: "PostgreSQL: connection refused", restarts: 3 },
    ];
    await serve(gateway({ sources: [SOURCE, ...others] }));
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "2 sources, not all running" }));
    const list = await screen.findByRole("dialog", { name: "Message sources" });
    expect(list).toHaveTextContent("at most once · 1,234 events · 10 dropped · 4 dead");
    expect(within(list).getByRole("list", { name: "redis-pubsub on each node" })).toHaveTextContent("standby for");
    expect(within(list).getByText("PostgreSQL: connection refused")).toBeVisible();
    expect(list).toHaveTextContent("3 restarts");
  });

  test("a gateway without message sources does not speak of them", async () => {
    const { requests } = await serve(gateway());
    render(<App />);
    await screen.findByRole("button", { name: /1 node/ });
    await waitFor(() => expect(requests).toContain("GET /api/v1/sources?limit=500"));
    expect(screen.queryByRole("button", { name: /source/ })).toBeNull();
  });

  test("a search that finds nothing can be cleared", async () => {
    await serve(gateway({ topics: [TOPIC] }));
    open("?q=nothing");
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Clear the search" }));
    expect(await screen.findByRole("link", { name: "news" })).toBeVisible();
    expect(screen.getByRole("searchbox")).toHaveValue("");
  });

  test("an error says what the gateway said, and can be tried again", async () => {
    let broken = true;
    const works = gateway({ topics: [TOPIC] });
    await serve((request, response, url) => {
      if (broken && url.pathname === "/api/v1/topics") json(response, 503, { detail: "The placement store is away." });
      else works(request, response, url);
    });
    render(<App />);
    expect(await screen.findByText("The placement store is away.")).toBeVisible();
    broken = false;
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("link", { name: "news" })).toBeVisible();
  });

  test("what was there stays when the gateway goes, and is said to be old", async () => {
    const { stop } = await serve(gateway({ topics: [TOPIC] }));
    render(<App />);
    await screen.findByRole("link", { name: "news" });
    await stop();
    expect(await screen.findByText(/This is how it was at/)).toBeVisible();
    expect(screen.getByRole("link", { name: "news" })).toBeVisible();
  });

  test("a slow connection is marked, and closing it asks first", async () => {
    const works = gateway({ connections: [CONNECTION] });
    const { requests } = await serve((request, response, url) => {
      if (request.method === "DELETE") response.writeHead(204).end();
      else works(request, response, url);
    });
    open("?view=connections");
    render(<App />);
    expect(await screen.findByTitle(/^A slow reader/)).toHaveTextContent(/^slow for 1m/);
    expect(screen.getByText("81.9 kB")).toHaveAttribute("title", "80 events not yet written");
    await userEvent.click(screen.getByRole("button", { name: "Close connection connection-1" }));
    const question = await screen.findByRole("alertdialog");
    expect(requests.some((request) => request.startsWith("DELETE"))).toBe(false);
    await userEvent.click(within(question).getByRole("button", { name: "Close connection" }));
    await waitFor(() => expect(requests).toContain("DELETE /api/v1/connections/connection-1"));
    expect(await screen.findByText("Connection connection-1 is closed.")).toBeVisible();
  });

  test("filters in the address are filters of the request, and unknown ones are passed over", async () => {
    const { requests } = await serve(gateway());
    open("?view=connections&topic=a%2Cb&node=n1&transport=carrier-pigeon&limit=7");
    render(<App />);
    await screen.findByRole("heading", { name: "No connection matches" });
    expect(requests).toContain("GET /api/v1/connections?limit=100&topic=a%2Cb&node=n1");
  });

  test("a tail begins with a topic", async () => {
    await serve(gateway({ topics: [TOPIC] }));
    open("?view=tail");
    render(<App />);
    await userEvent.type(await screen.findByLabelText("Topic"), "not a topic{Enter}");
    expect(screen.getByRole("alert")).toHaveTextContent("without a comma or a space");
    expect(
      await screen.findByText("None that exists matches; it can be tailed before anybody connects."),
    ).toBeVisible();
  });
});
