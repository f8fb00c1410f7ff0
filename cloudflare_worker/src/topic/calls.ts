/** Calls of an object to others of one class. */

export class Calls<Class extends Rpc.DurableObjectBranded> {
  // One stub for each object that is being called: the calls of one stub arrive in their order. It is let go of when all
  // have been answered, as an object may call any number of others in its life; and when one fails, as its stub may then
  // be broken for good (Durable Objects, "Error handling").
  private readonly open = new Map<string, { stub: DurableObjectStub<Class>; calls: number }>();

  constructor(private readonly namespace: DurableObjectNamespace<Class>) {}

  /** Call an object by its name, behind the calls to it that are not answered yet. */
  async to<Answer>(name: string, call: (stub: DurableObjectStub<Class>) => PromiseLike<Answer>): Promise<Answer> {
    const line = this.open.get(name) ?? { stub: this.namespace.getByName(name), calls: 0 };
    this.open.set(name, line);
    line.calls += 1;
    let failed = true;
    try {
      const answer = await call(line.stub);
      failed = false;
      return answer;
    } finally {
      line.calls -= 1;
      if ((failed || line.calls === 0) && this.open.get(name) === line) this.open.delete(name);
    }
  }
}
