/** How many connections there are, of all and of each client: counted once in the directory's life, as every row read costs. */

export class Census {
  private all: number | null = null;
  private byClient: Map<string, number> | null = null;

  constructor(private readonly sql: SqlStorage) {}

  get total(): number {
    this.all ??= this.sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM connections").one().n;
    return this.all;
  }

  of(client: string): number {
    if (this.byClient === null) {
      const rows = this.sql.exec<{ client: string; n: number }>(
        "SELECT client, COUNT(*) AS n FROM connections GROUP BY client",
      );
      this.byClient = new Map(rows.toArray().map(({ client: each, n }) => [each, n]));
    }
    return this.byClient.get(client) ?? 0;
  }

  /** Take note of one connection more, or one less. What nobody has asked for yet is not counted. */
  add(client: string, step: 1 | -1): void {
    if (this.all !== null) this.all += step;
    if (this.byClient === null) return;
    const count = (this.byClient.get(client) ?? 0) + step;
    if (count > 0) this.byClient.set(client, count);
    else this.byClient.delete(client);
  }
}
