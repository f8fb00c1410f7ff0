/** The admin API: what exists, who is connected where, and closing a connection. The lists are the directory's. */

import { Cursor } from "./cursor";
import { NAME, type ConnectionRow, type Directory, type NodeRow } from "./directory";
import { holders } from "./directory/presence";
import { DEFAULT_EVENT_TYPE, parseTopics, rfc3339 } from "./events";
import { InvalidInput } from "./exceptions";
import { notFound } from "./problems";
import type { Scene } from "./publish";
import { asked } from "./routing";
import { readParameters } from "./query";
import { settingsOf } from "./settings";
import { VERSION } from "./version";

const DEFAULT_LIMIT = 100;
/** Most items in one page of any list. */
export const MAX_PAGE = 500;

interface Listed {
  items: object[];
  next: string | null;
  total: number;
}

export async function listTopics(request: Request, scene: Scene): Promise<Response> {
  const parameters = readParameters(request.url, ["limit", "cursor", "q"]);
  const { limit, after, cursors } = await page(parameters, "topics", scene);
  const [found] = await asked([directory(scene).topics({ limit, after, q: parameters.get("q") ?? "" })]);
  if (found === undefined) throw notFound();
  const items = await asked(found.items.map((name) => topicItem(scene, name)));
  return listed({ items: items.filter((item) => item !== null), next: found.next, total: found.total }, cursors);
}

/** List the events that a topic keeps, newest first. A page of large events ends before `limit`. */
export async function listEvents(topic: string, request: Request, scene: Scene): Promise<Response> {
  const parameters = readParameters(request.url, ["limit", "cursor"]);
  parseTopics([topic], 1, "The path");
  if (settingsOf(scene.env).history.of(topic) === null) {
    throw notFound("This topic keeps no events; GATEWAY_HISTORY says which do.");
  }
  const { limit, after, cursors } = await page(parameters, `events of ${topic}`, scene);
  const before = after === null ? null : Number(after);
  const [kept] = await asked([scene.env.TOPICS.getByName(topic).keptEvents(limit, before)]);
  const items = (kept?.items ?? []).map(({ number, event }) => ({
    number,
    topics: event.topics,
    id: event.id,
    event: event.event ?? DEFAULT_EVENT_TYPE,
    data: event.data,
    retry: event.retry,
    time: event.time,
  }));
  const last = items.at(-1);
  return listed({ items, next: kept?.more && last ? String(last.number) : null, total: kept?.total ?? 0 }, cursors);
}

export async function listConnections(request: Request, scene: Scene): Promise<Response> {
  const parameters = readParameters(request.url, ["limit", "cursor", "topic", "node", "transport"]);
  const { limit, after, cursors } = await page(parameters, "connections", scene);
  const topic = parameters.get("topic") ?? null;
  const transport = parameters.get("transport") ?? null;
  if (topic !== null) parseTopics([topic], 1, "topic");
  if (transport !== null && transport !== "sse" && transport !== "websocket") {
    throw new InvalidInput("invalid-query", "The parameter 'transport' must be sse or websocket.");
  }
  const [found] = await asked([
    directory(scene).connections({ limit, after, topic, node: parameters.get("node") ?? null, transport }),
  ]);
  if (found === undefined) throw notFound();
  const items = await asked(found.items.map((row) => connectionItem(scene, row)));
  return listed({ items: items.filter((item) => item !== null), next: found.next, total: found.total }, cursors);
}

export async function getConnection(id: string, scene: Scene): Promise<Response> {
  const [row] = await asked([directory(scene).connection(id)]);
  const [item] = row ? await asked([connectionItem(scene, row)]) : [];
  if (!item) throw notFound("There is no connection of this id.");
  return Response.json(item);
}

/** Close a connection, wherever it is held. It gets `gateway.close` first, and may come back. */
export async function closeConnection(id: string, scene: Scene): Promise<Response> {
  const [row] = await asked([directory(scene).connection(id)]);
  if (!row) throw notFound("There is no connection of this id.");
  const retry = settingsOf(scene.env).retryMs;
  await asked(
    holders(row).map((name) => scene.env.TOPICS.getByName(name).closeConnection(id, "closed-by-administrator", retry)),
  );
  await asked([directory(scene).detach(id, null)]);
  return new Response(null, { status: 204 });
}

export async function listNodes(request: Request, scene: Scene): Promise<Response> {
  const parameters = readParameters(request.url, ["limit", "cursor"]);
  const { limit, after, cursors } = await page(parameters, "nodes", scene);
  const [nodes = []] = await asked([directory(scene).nodes()]);
  const rest = nodes.filter((node) => after === null || node.name > after);
  const next = rest.length > limit ? (rest[limit - 1]?.name ?? null) : null;
  return listed({ items: rest.slice(0, limit).map(nodeItem), next, total: nodes.length }, cursors);
}

/** List message sources: the Worker has none. */
export async function listSources(request: Request, scene: Scene): Promise<Response> {
  const { cursors } = await page(readParameters(request.url, ["limit", "cursor"]), "sources", scene);
  return listed({ items: [], next: null, total: 0 }, cursors);
}

export async function getStats(request: Request, scene: Scene): Promise<Response> {
  readParameters(request.url, []);
  const [totals] = await asked([directory(scene).totals()]);
  if (totals === undefined) throw notFound();
  const { perSecond, ...counts } = totals;
  return Response.json({ ...counts, per_second: perSecond });
}

function directory(scene: Scene): DurableObjectStub<Directory> {
  return scene.env.DIRECTORY.getByName(NAME);
}

async function topicItem(scene: Scene, name: string): Promise<object | null> {
  const { connections, nodes, events, last, kept } = await scene.env.TOPICS.getByName(name).describe();
  if (connections === 0 && kept === null) {
    // Its object crashed, or it keeps history no more: the list heals here.
    await directory(scene).verify(name);
    await directory(scene).keep(name, false);
    return null;
  }
  return {
    name,
    mode: connections > 1 ? "multicast" : connections === 1 ? "unicast" : "idle",
    connections,
    nodes,
    events,
    kept,
    last_event: last,
  };
}

async function connectionItem(scene: Scene, row: ConnectionRow): Promise<object | null> {
  // A stream's figures are the Worker's that feeds it, which any of its sockets leads to.
  const [name = ""] = holders(row);
  const figures = await scene.env.TOPICS.getByName(name).figures(row.id);
  if (figures === null) {
    // Its object ended without a close event, as in a crash: the list heals here.
    await directory(scene).detach(row.id, null);
    return null;
  }
  const { id, topics, transport, node, client, userAgent, since } = row;
  return { id, topics, transport, node, client, user_agent: userAgent, since: rfc3339(since), ...figures };
}

function nodeItem({ name, since, lastSeen, connections, topics }: NodeRow): object {
  return {
    name,
    host: name,
    port: null,
    since: rfc3339(since),
    last_seen: rfc3339(lastSeen),
    // A location gives no signs of life while nothing happens there, and is no process that could be stuck.
    silent: false,
    connections,
    topics,
    version: VERSION,
    draining: false,
  };
}

async function page(
  parameters: ReadonlyMap<string, string>,
  list: string,
  scene: Scene,
): Promise<{ limit: number; after: string | null; cursors: Cursor }> {
  const given = parameters.get("limit") ?? String(DEFAULT_LIMIT);
  const limit = /^[0-9]{1,9}$/.test(given) ? Number(given) : 0;
  if (limit < 1 || limit > MAX_PAGE) {
    throw new InvalidInput("invalid-query", `The parameter 'limit' must be a whole number from 1 to ${MAX_PAGE}.`);
  }
  const cursors = new Cursor(list, settingsOf(scene.env).apiKeys);
  const cursor = parameters.get("cursor");
  return { limit, after: cursor === undefined ? null : await cursors.read(cursor), cursors };
}

async function listed({ items, next, total }: Listed, cursors: Cursor): Promise<Response> {
  return Response.json({ items, next: next === null ? null : await cursors.sign(next), total });
}
