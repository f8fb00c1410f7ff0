/** What the code of one topic's object shares: who it is, what it holds, and how it reaches other objects. */

import { NAME, type Directory } from "../directory";
import { Log } from "../history/log";
import type { Limits } from "../history/rules";
import { settingsOf, type Env, type Settings } from "../settings";
import type { Topic } from "../topic";
import { Answered } from "./answered";
import { Ledger } from "./ledger";
import { Members } from "./members";
import { objectName, readName } from "./names";

export class Here {
  /** The object's own name. */
  readonly home: string;
  /** Its topic. */
  readonly name: string;
  /** Null for the object that makes the topic's order, else the number of this part. */
  readonly part: number | null;
  readonly settings: Settings;
  readonly members: Members;
  readonly ledger: Ledger;
  /** What the topic keeps, null when it keeps nothing; the log is the whole's alone. */
  readonly limits: Limits | null;
  readonly log: Log | null;
  /** What publishers were answered; the whole's alone too. */
  readonly answered: Answered | null;
  readonly directory: DurableObjectStub<Directory>;
  // One stub for each object: the calls of one stub arrive in their order.
  private readonly stubs = new Map<string, DurableObjectStub<Topic>>();

  constructor(
    private readonly ctx: DurableObjectState,
    private readonly env: Env,
    private readonly self: Topic,
  ) {
    this.settings = settingsOf(env);
    this.home = ctx.id.name ?? "";
    const { topic, part } = readName(this.home);
    this.name = topic;
    this.part = part;
    this.members = new Members(ctx.getWebSockets());
    this.ledger = new Ledger(ctx.storage.sql);
    this.limits = this.settings.history.of(topic);
    this.log = this.limits === null || part !== null ? null : new Log(ctx.storage.sql, this.limits);
    this.answered = part !== null ? null : new Answered(ctx.storage.sql, this.settings.dedupeSeconds);
    this.directory = env.DIRECTORY.getByName(NAME);
  }

  /** The topic's connections, wherever their sockets are. */
  get connections(): number {
    return this.members.connections + this.ledger.relayed + this.ledger.parted;
  }

  keeps(topic: string): boolean {
    return this.settings.history.of(topic) !== null;
  }

  /** The object that makes a topic's order: this one or another. */
  whole(topic: string): Topic | DurableObjectStub<Topic> {
    return topic === this.name && this.part === null ? this.self : this.stub(topic);
  }

  /** A part of this topic. */
  partOf(part: number): DurableObjectStub<Topic> {
    return this.stub(objectName(this.name, part));
  }

  stub(name: string): DurableObjectStub<Topic> {
    let stub = this.stubs.get(name);
    if (stub === undefined) {
      stub = this.env.TOPICS.getByName(name);
      this.stubs.set(name, stub);
    }
    return stub;
  }

  /** Keep nothing where nobody is left: an object without storage costs nothing. @param opening Connections that come. */
  tidy(opening: number): void {
    if (this.members.size > 0 || opening > 0 || this.log !== null || !this.ledger.empty || this.answered?.any) return;
    if (!this.ledger.stored && !this.answered?.isStored) return;
    this.ledger.forget();
    this.answered?.emptied();
    void this.ctx.storage.deleteAll();
  }
}
