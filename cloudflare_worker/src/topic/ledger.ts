/**
 * What an object of a topic must remember through hibernation and cannot keep with a socket: its parts, the connections
 * that other objects hold for it, and the further topics of its own. Most topics have none of these and store nothing.
 */

/** A connection of this topic whose socket another object holds: it is a new one each time that it comes. */
export interface Relay {
  node: string;
}

export class Ledger {
  /** Part to number of its connections. */
  readonly parts = new Map<number, number>();
  /** Object to its connections that hold this topic, by their ids. */
  readonly relays = new Map<string, Map<string, Relay>>();
  /** Connection of this object to its topics beside this object's. */
  readonly extras = new Map<string, Set<string>>();

  /** Whether the object's storage holds any of it. */
  stored: boolean;

  constructor(private readonly sql: SqlStorage) {
    this.stored = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'parts'").toArray().length > 0;
    if (!this.stored) return;
    for (const row of sql.exec<{ part: number; connections: number }>("SELECT part, connections FROM parts")) {
      this.parts.set(row.part, row.connections);
    }
    for (const row of sql.exec<{ home: string; id: string; node: string }>("SELECT home, id, node FROM relays")) {
      this.relaysOf(row.home).set(row.id, { node: row.node });
    }
    for (const row of sql.exec<{ id: string; topic: string }>("SELECT id, topic FROM extras ORDER BY rowid")) {
      this.extrasOf(row.id).add(row.topic);
    }
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
    this.open();
    this.parts.set(part, connections);
    this.sql.exec("INSERT OR REPLACE INTO parts (part, connections) VALUES (?, ?)", part, connections);
  }

  addRelay(home: string, id: string, node: string): void {
    this.open();
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
    this.open();
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
    this.stored = false;
  }

  private relaysOf(home: string): Map<string, Relay> {
    return getOrMake(this.relays, home, () => new Map<string, Relay>());
  }

  private extrasOf(id: string): Set<string> {
    return getOrMake(this.extras, id, () => new Set<string>());
  }

  private open(): void {
    if (this.stored) return;
    this.stored = true;
    this.sql.exec("CREATE TABLE parts (part INTEGER PRIMARY KEY, connections INTEGER NOT NULL)");
    this.sql.exec("CREATE TABLE relays (home TEXT, id TEXT, node TEXT NOT NULL, PRIMARY KEY (home, id)) WITHOUT ROWID");
    this.sql.exec("CREATE TABLE extras (id TEXT NOT NULL, topic TEXT NOT NULL, UNIQUE (id, topic))");
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
