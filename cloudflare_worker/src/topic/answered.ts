/**
 * What publishes were answered, for publishers that try again (contract §6, `GATEWAY_DEDUPE_SECONDS`). In SQLite: an
 * object that slept between two tries still knows the first.
 */

/** The first answer to an id. */
export interface First {
  /** Connections that the topic had then. */
  connections: number;
  /** The event's key then, empty where it had this topic alone. */
  key: string;
}

export class Answered {
  private stored: boolean;

  /** @param seconds How long an answer is remembered; 0 is not at all. */
  constructor(
    private readonly sql: SqlStorage,
    private readonly seconds: number,
  ) {
    this.stored = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'answered'").toArray().length > 0;
  }

  /** Whether something is remembered. */
  get any(): boolean {
    return this.stored && this.sql.exec("SELECT 1 FROM answered LIMIT 1").toArray().length > 0;
  }

  /** Whether the object's storage holds its table. */
  get isStored(): boolean {
    return this.stored;
  }

  /** Return the answer that is remembered for an id, null when there is none. */
  of(id: string, now: number): First | null {
    if (!this.stored || this.seconds === 0) return null;
    const query = "SELECT connections, key FROM answered WHERE id = ? AND until > ?";
    return this.sql.exec<{ connections: number; key: string }>(query, id, now).toArray()[0] ?? null;
  }

  /** Remember an answer. @returns When it may be forgotten, in milliseconds; null when it is not remembered. */
  remember(id: string, { connections, key }: First, now: number): number | null {
    if (this.seconds === 0) return null;
    if (!this.stored) {
      this.stored = true;
      // One row a publish, and no index beside it: rows written are what storage costs.
      this.sql.exec(`CREATE TABLE answered (
        id TEXT PRIMARY KEY, connections INTEGER NOT NULL, key TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID`);
    }
    const until = Math.ceil(now + this.seconds * 1000);
    this.sql.exec("INSERT OR REPLACE INTO answered VALUES (?, ?, ?, ?)", id, connections, key, until);
    return until;
  }

  /** Forget one answer, whose event did not reach everybody: the next try must. */
  revoke(id: string): void {
    if (this.stored) this.sql.exec("DELETE FROM answered WHERE id = ?", id);
  }

  /** Forget what is too old. @returns When all that is left will be, in milliseconds; null when nothing is. */
  forget(now: number): number | null {
    if (!this.stored) return null;
    this.sql.exec("DELETE FROM answered WHERE until <= ?", now);
    return this.sql.exec<{ until: number | null }>("SELECT MAX(until) AS until FROM answered").one().until;
  }

  /** Take note that the storage has been emptied. */
  emptied(): void {
    this.stored = false;
  }
}
