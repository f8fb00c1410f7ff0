/** The object that keeps the admin API's lists: who is connected, what exists, and what has been counted. */

import { DurableObject } from "cloudflare:workers";
import { Census } from "./directory/census";
import { Counters, type Counts } from "./directory/counters";
import { findGone } from "./directory/presence";
import type { Env } from "./settings";

export type Transport = "sse" | "websocket";

/** One connection as it registers. */
export interface NewConnection {
  id: string;
  topics: string[];
  transport: Transport;
  node: string;
  /** Name of the object that holds its socket; empty for a stream, which has a link to each topic's object. */
  home: string;
  client: string;
  userAgent: string;
}

export interface ConnectionRow extends NewConnection {
  number: number;
  /** In milliseconds since the epoch. */
  since: number;
}

export interface Page<Item> {
  items: Item[];
  /** Position after the last item, null at the end. */
  next: string | null;
  total: number;
}

export interface NodeRow {
  name: string;
  since: number;
  lastSeen: number;
  connections: number;
  topics: number;
}

export interface Totals extends Counts {
  connections: number;
  topics: number;
  perSecond: Counts;
}

/** The one directory's name. */
export const NAME = "directory";

const NODE_SECONDS = 3600;
const MOST_ENDED = 10_000;
/** How often it is made sure that all who are listed are there: each time wakes their objects. */
const SWEEP_SECONDS = 86_400;
/** Least time between two sweeps that are due to a full gateway. */
const FULL_SECONDS = 60;
/** After a deployment: clients are coming back. */
const DEPLOYED_SECONDS = 10;
/** Connections of one step of a sweep: each is a call or more, and few are allowed at a time. */
const SWEEP_ROWS = 40;

interface StoredConnection {
  [column: string]: SqlStorageValue;
  number: number;
  id: string;
  transport: string;
  node: string;
  home: string;
  client: string;
  user_agent: string;
  since: number;
}

export class Directory extends DurableObject<Env> {
  private readonly sql: SqlStorage;
  // Connections that ended before they had registered: their registration comes too late.
  private readonly ended = new Set<string>();

  private readonly census: Census;
  private readonly counters: Counters;
  private sweepPlanned = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.census = new Census(this.sql);
    this.counters = new Counters(this.sql);
    this.sql.exec(`
      CREATE TABLE IF NOT EXISTS connections (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, transport TEXT NOT NULL, node TEXT NOT NULL,
        home TEXT NOT NULL, client TEXT NOT NULL, user_agent TEXT NOT NULL, since INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS holds (
        topic TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (topic, number)) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS held ON holds (number);
      CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, connections INTEGER NOT NULL, kept INTEGER NOT NULL)
        WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS nodes (name TEXT PRIMARY KEY, since INTEGER NOT NULL, last_seen INTEGER NOT NULL);
    `);
    // A deployment ends connections, and tells nobody.
    const version = env.VERSION?.id ?? "";
    if (ctx.storage.kv.get("version") !== version) {
      ctx.storage.kv.put("version", version);
      ctx.waitUntil(this.sweepBy(Date.now() + DEPLOYED_SECONDS * 1000));
    }
  }

  /**
   * Register a connection with its topics.
   *
   * @param most Most connections, and most of one client; 0 is no limit.
   * @returns Whether it is listed now, or why not: it has ended meanwhile, or there are too many.
   */
  attach(
    connection: NewConnection,
    most: { all: number; client: number },
  ): "listed" | "ended" | "full" | "full-client" {
    const { id, topics, transport, node, home, client, userAgent } = connection;
    if (this.ended.delete(id)) return "ended";
    const now = Date.now();
    const full = most.all > 0 && this.census.total >= most.all;
    if (full || (most.client > 0 && client !== "" && this.census.of(client) >= most.client)) {
      // Unless some of them are not there any more.
      this.ctx.waitUntil(
        this.sweepBy(Math.max(now, (this.ctx.storage.kv.get<number>("swept") ?? 0) + FULL_SECONDS * 1000)),
      );
      return full ? "full" : "full-client";
    }
    this.sql.exec(
      "INSERT INTO connections (id, transport, node, home, client, user_agent, since) VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      transport,
      node,
      home,
      client,
      userAgent,
      now,
    );
    this.census.add(client, 1);
    this.seen(node, now);
    if (!this.sweepPlanned) {
      this.sweepPlanned = true;
      this.ctx.waitUntil(this.sweepBy(now + SWEEP_SECONDS * 1000));
    }
    this.hold(this.number("SELECT number AS n FROM connections WHERE id = ?", id), topics);
    return "listed";
  }

  /** Add topics to a connection that is listed. */
  subscribe(id: string, topics: string[]): void {
    const number = this.numberOf(id);
    if (number !== null) this.hold(number, topics);
  }

  /** Take topics from a connection that stays. */
  unsubscribe(id: string, topics: string[]): void {
    const number = this.numberOf(id);
    if (number !== null) for (const topic of topics) this.release(number, topic);
  }

  /**
   * Take topics from a connection that has ended; with its last one it is gone.
   *
   * @param topics Those that the caller held for it, null for all.
   */
  detach(id: string, topics: string[] | null): boolean {
    const found = this.forget(id, topics);
    if (!found) {
      if (this.ended.size >= MOST_ENDED) this.ended.delete(this.ended.values().next().value ?? "");
      this.ended.add(id);
    }
    return found;
  }

  /** Make sure that those who are listed with a topic are there. */
  async verify(topic: string): Promise<void> {
    const all = { after: null, node: null, transport: null };
    await this.takeOut(this.connections({ ...all, limit: SWEEP_ROWS, topic }).items);
  }

  /** Make sure of all who are listed, a few at a time. */
  override async alarm(): Promise<void> {
    const { kv } = this.ctx.storage;
    const all = { topic: null, node: null, transport: null };
    const { items, next } = this.connections({ ...all, limit: SWEEP_ROWS, after: kv.get<string>("sweeping") ?? null });
    await this.takeOut(items);
    if (next !== null) {
      kv.put("sweeping", next);
      await this.ctx.storage.setAlarm(Date.now());
      return;
    }
    kv.delete("sweeping");
    kv.put("swept", Date.now());
    this.sweepPlanned = this.census.total > 0;
    if (this.sweepPlanned) await this.sweepBy(Date.now() + SWEEP_SECONDS * 1000);
  }

  /** Note whether a topic keeps events: then it exists though nobody is connected. */
  keep(topic: string, kept: boolean): void {
    this.sql.exec(
      "INSERT INTO topics (name, connections, kept) VALUES (?1, 0, ?2) ON CONFLICT (name) DO UPDATE SET kept = ?2",
      topic,
      Number(kept),
    );
    this.sweep(topic);
  }

  /** List names of topics in their order. */
  topics({ limit, after, q }: { limit: number; after: string | null; q: string }): Page<string> {
    const rows = this.sql
      .exec<{ name: string }>(
        "SELECT name FROM topics WHERE name > ?1 AND (?2 = '' OR instr(name, ?2)) ORDER BY name LIMIT ?3",
        after ?? "",
        q,
        limit + 1,
      )
      .toArray()
      .map((row) => row.name);
    const total = this.number("SELECT COUNT(*) AS n FROM topics WHERE ?1 = '' OR instr(name, ?1)", q);
    return { items: rows.slice(0, limit), next: rows.length > limit ? (rows[limit - 1] ?? null) : null, total };
  }

  /** List connections in the order of their coming. */
  connections(filter: {
    limit: number;
    after: string | null;
    topic: string | null;
    node: string | null;
    transport: string | null;
  }): Page<ConnectionRow> {
    const { limit, after, topic, node, transport } = filter;
    const where = `(?1 IS NULL OR number IN (SELECT number FROM holds WHERE topic = ?1))
      AND (?2 IS NULL OR node = ?2) AND (?3 IS NULL OR transport = ?3)`;
    const rows = this.sql
      .exec<StoredConnection>(
        `SELECT * FROM connections WHERE ${where} AND number > ?4 ORDER BY number LIMIT ?5`,
        topic,
        node,
        transport,
        Number(after ?? 0),
        limit + 1,
      )
      .toArray();
    const items = rows.slice(0, limit).map((row) => this.row(row));
    return {
      items,
      next: rows.length > limit ? String(items.at(-1)?.number) : null,
      total: this.number(`SELECT COUNT(*) AS n FROM connections WHERE ${where}`, topic, node, transport),
    };
  }

  connection(id: string): ConnectionRow | null {
    const [row] = this.sql.exec<StoredConnection>("SELECT * FROM connections WHERE id = ?", id).toArray();
    return row === undefined ? null : this.row(row);
  }

  /** The locations that hold connections or took one within the last hour, by name. */
  nodes(): NodeRow[] {
    const since = Date.now() - NODE_SECONDS * 1000;
    return this.sql
      .exec<{ name: string; since: number; lastSeen: number; connections: number; topics: number }>(
        `SELECT name, since, last_seen AS lastSeen,
          (SELECT COUNT(*) FROM connections WHERE node = name) AS connections,
          (SELECT COUNT(DISTINCT topic) FROM holds JOIN connections USING (number) WHERE node = name) AS topics
        FROM nodes WHERE last_seen >= ? OR name IN (SELECT node FROM connections) ORDER BY name`,
        since,
      )
      .toArray();
  }

  /** Add to the counters what a Worker has counted, and note that its location lives. */
  count(node: string, counts: Counts): void {
    this.seen(node, Date.now());
    this.counters.add(counts);
  }

  totals(): Totals {
    return {
      connections: this.census.total,
      topics: this.number("SELECT COUNT(*) AS n FROM topics"),
      ...this.counters.totals,
      perSecond: this.counters.perSecond,
    };
  }

  /** Answer: who gets this knows that the lists can be reached. */
  check(): true {
    return true;
  }

  /** Have a sweep begin at a time in milliseconds, or before. */
  private async sweepBy(time: number): Promise<void> {
    const { storage } = this.ctx;
    const set = await storage.getAlarm();
    if (set === null || set > time) await storage.setAlarm(time);
  }

  private async takeOut(rows: readonly ConnectionRow[]): Promise<void> {
    for (const { id, topics } of await findGone(this.env, rows)) this.forget(id, topics);
  }

  /** Take topics from a connection, null for all, and with its last one the connection; false when it is not listed. */
  private forget(id: string, topics: string[] | null): boolean {
    const [row] = this.sql
      .exec<{ number: number; client: string }>("SELECT number, client FROM connections WHERE id = ?", id)
      .toArray();
    if (row === undefined) return false;
    for (const topic of topics ?? this.topicsOf(row.number)) this.release(row.number, topic);
    if (topics === null || this.topicsOf(row.number).length === 0) {
      this.sql.exec("DELETE FROM connections WHERE number = ?", row.number);
      this.census.add(row.client, -1);
    }
    return true;
  }

  private hold(number: number, topics: readonly string[]): void {
    for (const topic of topics) {
      const { rowsWritten } = this.sql.exec("INSERT OR IGNORE INTO holds (topic, number) VALUES (?, ?)", topic, number);
      if (rowsWritten === 0) continue;
      this.sql.exec(
        "INSERT INTO topics (name, connections, kept) VALUES (?, 1, 0) ON CONFLICT (name) DO UPDATE SET connections = connections + 1",
        topic,
      );
    }
  }

  private release(number: number, topic: string): void {
    const { rowsWritten } = this.sql.exec("DELETE FROM holds WHERE topic = ? AND number = ?", topic, number);
    if (rowsWritten === 0) return;
    this.sql.exec("UPDATE topics SET connections = connections - 1 WHERE name = ?", topic);
    this.sweep(topic);
  }

  private sweep(topic: string): void {
    this.sql.exec("DELETE FROM topics WHERE name = ? AND connections <= 0 AND kept = 0", topic);
  }

  private seen(node: string, now: number): void {
    this.sql.exec(
      "INSERT INTO nodes (name, since, last_seen) VALUES (?1, ?2, ?2) ON CONFLICT (name) DO UPDATE SET last_seen = ?2",
      node,
      now,
    );
  }

  private row(stored: StoredConnection): ConnectionRow {
    return {
      number: stored.number,
      id: stored.id,
      topics: this.topicsOf(stored.number),
      transport: stored.transport === "sse" ? "sse" : "websocket",
      node: stored.node,
      home: stored.home,
      client: stored.client,
      userAgent: stored.user_agent,
      since: stored.since,
    };
  }

  private topicsOf(number: number): string[] {
    return this.sql
      .exec<{ topic: string }>("SELECT topic FROM holds WHERE number = ? ORDER BY topic", number)
      .toArray()
      .map((row) => row.topic);
  }

  private numberOf(id: string): number | null {
    return (
      this.sql.exec<{ number: number }>("SELECT number FROM connections WHERE id = ?", id).toArray()[0]?.number ?? null
    );
  }

  private number(query: string, ...values: SqlStorageValue[]): number {
    return this.sql.exec<{ n: number }>(query, ...values).one().n;
  }
}
