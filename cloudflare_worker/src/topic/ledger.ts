/**
 * What an object of a topic must remember through hibernation and cannot keep with a socket: its parts, the connections
 * that other objects hold for it, and the further topics of its own. Most topics have none of these and store nothing.
 */

import type { Counters } from "./members";

/** A connection of this topic whose socket another object holds: it is a new one each time that it comes. */
export interface Relay {
  node: string;
}

const TABLES = {
  parts: "(part INTEGER PRIMARY KEY, connections INTEGER NOT NULL)",
  relays: "(home TEXT, id TEXT, node TEXT NOT NULL, PRIMARY KEY (home, id)) WITHOUT ROWID",
  extras: "(id TEXT NOT NULL, topic TEXT NOT NULL, UNIQUE (id, topic))",
  counters: "(one INTEGER PRIMARY KEY, events INTEGER NOT NULL, last_id TEXT NOT NULL, last_time TEXT NOT NULL)",
} as const;

type Table = keyof typeof TABLES;

export class Ledger {
  /** Part to number of its connections. */
  readonly parts = new Map<number, number>();
  /** Object to its connections that hold this topic, by their ids. */
  readonly relays = new Map<string, Map<string, Relay>>();
  /** Connection of this object to its topics beside this object's. */
  readonly extras = new Map<string, Set<string>>();

  // A row written is what storage costs, and a table is one: each is made when it is first needed.
  private readonly tables: Set<string>;

  constructor(private readonly sql: SqlStorage) {
    const known = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray();
    this.tables = new Set(known.map(({ name }) => name).filter((name) => name in TABLES));
    for (const row of this.rows<{ part: number; connections: number }>("parts")) {
      this.parts.set(row.part, row.connections);
    }
    for (const row of this.rows<{ home: string; id: string; node: string }>("relays")) {
      this.relaysOf(row.home).set(row.id, { node: row.node });
    }
    for (const row of this.rows<{ id: string; topic: string }>("extras", "ORDER BY rowid")) {
      this.extrasOf(row.id).add(row.topic);
    }
  }

  /** Whether the object's storage holds any of it. */
  get stored(): boolean {
    return this.tables.size > 0;
  }

  /** What the topic had counted when no socket here could carry it. */
  get counters(): Counters | null {
    const [row] = this.rows<{ events: number; last_id: string; last_time: string }>("counters");
    return row === undefined ? null : { events: row.events, last: { id: row.last_id, time: row.last_time } };
  }

  /** Keep what has been counted, as long as the ledger holds anything else: else there is nobody to count for. */
  keepCounters({ events, last }: Counters): void {
    if (this.empty && !this.tables.has("counters")) return;
    this.open("counters");
    const values = [events, last?.id ?? "", last?.time ?? ""];
    this.sql.exec("INSERT OR REPLACE INTO counters VALUES (1, ?, ?, ?)", ...values);
  }

  /** Connections that other objects hold for this topic. */
  get relayed(): number {
    let count = 0;
    for (const ids of this.relays.values()) count += ids.size;
    return count;
  }

  /** Connections of all parts. */
  get parted(): number {
    let count = 0;
    for (const connections of this.parts.values()) count += connections;
    return count;
  }

  get empty(): boolean {
    return this.relays.size === 0 && this.extras.size === 0 && this.parted === 0;
  }

  setPart(part: number, connections: number): void {
    if (this.parts.get(part) === connections) return;
    this.open("parts");
    this.parts.set(part, connections);
    this.sql.exec("INSERT OR REPLACE INTO parts (part, connections) VALUES (?, ?)", part, connections);
  }

  addRelay(home: string, id: string, node: string): void {
    this.open("relays");
    this.relaysOf(home).set(id, { node });
    this.sql.exec("INSERT OR REPLACE INTO relays (home, id, node) VALUES (?, ?, ?)", home, id, node);
  }

  /** Take a connection away. @param only If it is still this one; without, whichever it is. */
  removeRelay(home: string, id: string, only?: Relay): void {
    const ids = this.relays.get(home);
    if (only !== undefined && ids?.get(id) !== only) return;
    if (!ids?.delete(id)) return;
    if (ids.size === 0) this.relays.delete(home);
    this.sql.exec("DELETE FROM relays WHERE home = ? AND id = ?", home, id);
  }

  addExtra(id: string, topic: string): void {
    this.open("extras");
    this.extrasOf(id).add(topic);
    this.sql.exec("INSERT OR IGNORE INTO extras (id, topic) VALUES (?, ?)", id, topic);
  }

  removeExtra(id: string, topic: string): void {
    const topics = this.extras.get(id);
    if (!topics?.delete(topic)) return;
    if (topics.size === 0) this.extras.delete(id);
    this.sql.exec("DELETE FROM extras WHERE id = ? AND topic = ?", id, topic);
  }

  /** Take note that the storage has been emptied. */
  forget(): void {
    this.parts.clear();
    this.tables.clear();
  }

  private relaysOf(home: string): Map<string, Relay> {
    return getOrMake(this.relays, home, () => new Map<string, Relay>());
  }

  private extrasOf(id: string): Set<string> {
    return getOrMake(this.extras, id, () => new Set<string>());
  }

  private rows<Row extends Record<string, SqlStorageValue>>(table: Table, order = ""): Row[] {
    return this.tables.has(table) ? this.sql.exec<Row>(`SELECT * FROM ${table} ${order}`).toArray() : [];
  }

  private open(table: Table): void {
    if (this.tables.has(table)) return;
    this.tables.add(table);
    this.sql.exec(`CREATE TABLE ${table} ${TABLES[table]}`);
  }
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
