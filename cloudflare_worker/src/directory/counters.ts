/** What the gateway has counted: totals, which last, and rates of the last seconds, which do not. */

const NAMES = ["published", "delivered", "dropped", "gaps"] as const;
const RATE_SECONDS = 10;

export type Counts = Record<(typeof NAMES)[number], number>;

export class Counters {
  // One entry a second at most; hibernation forgets them, as nothing has happened then.
  private readonly recent: { at: number; counts: Counts }[] = [];

  constructor(private readonly sql: SqlStorage) {
    sql.exec("CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)");
  }

  add(counts: Counts): void {
    for (const name of NAMES) {
      if (counts[name] === 0) continue;
      this.sql.exec(
        "INSERT INTO counters (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
        name,
        counts[name],
      );
    }
    const now = Date.now();
    const newest = this.recent.at(-1);
    if (newest !== undefined && now - newest.at < 1000) {
      for (const name of NAMES) newest.counts[name] += counts[name];
    } else {
      this.forgetOld(now);
      this.recent.push({ at: now, counts: { ...counts } });
    }
  }

  get totals(): Counts {
    const rows = this.sql.exec<{ name: string; value: number }>("SELECT name, value FROM counters").toArray();
    const stored = new Map(rows.map(({ name, value }) => [name, value]));
    return each((name) => stored.get(name) ?? 0);
  }

  get perSecond(): Counts {
    this.forgetOld(Date.now());
    return each((name) => this.recent.reduce((sum, { counts }) => sum + counts[name], 0) / RATE_SECONDS);
  }

  private forgetOld(now: number): void {
    const from = now - RATE_SECONDS * 1000;
    while ((this.recent[0]?.at ?? from) < from) this.recent.shift();
  }
}

function each(value: (name: keyof Counts) => number): Counts {
  return {
    published: value("published"),
    delivered: value("delivered"),
    dropped: value("dropped"),
    gaps: value("gaps"),
  };
}
