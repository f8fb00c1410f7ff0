/** What the code of one topic's object shares: who it is, what it holds, and how it reaches other objects. */

import { NAME, type Directory } from "../directory";
import { Log, type Kept, type Standing } from "../history/log";
import type { Limits } from "../history/rules";
import { settingsOf, type Env, type Settings } from "../settings";
import type { Topic } from "../topic";
import type { Start } from "../wire/link";
import { Answered } from "./answered";
import { Calls } from "./calls";
import { Ledger } from "./ledger";
import { Members, type Member } from "./members";
import { objectName, readName } from "./names";

/** A topic's past, in this object or another. */
export interface Past {
  storedAt(id: string): number | null | Promise<number | null>;
  locate(start: Start): Standing | null | Promise<Standing | null>;
  read(after: number): Kept[] | Promise<Kept[]>;
}

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
  /** Connections whose topics are still held, though their sockets did not outlive the object's last life. */
  readonly orphans: string[];
  /** What the topic keeps, null when it keeps nothing; the log is the whole's alone. */
  readonly limits: Limits | null;
  readonly log: Log | null;
  /** What publishers were answered; the whole's alone too. */
  readonly answered: Answered | null;
  /** To the objects of topics, this one's parts among them. */
  readonly calls: Calls<Topic>;
  private readonly lists: Calls<Directory>;

  constructor(
    private readonly ctx: DurableObjectState,
    env: Env,
    private readonly self: Topic,
  ) {
    this.settings = settingsOf(env);
    this.home = ctx.id.name ?? "";
    const { topic, part } = readName(this.home);
    this.name = topic;
    this.part = part;
    const sockets = ctx.getWebSockets();
    this.limits = this.settings.history.of(topic);
    this.ledger = new Ledger(ctx.storage.sql);
    this.members = new Members(sockets, this.limits === null ? this.ledger : null);
    const ids = new Set(sockets.map((socket) => (socket.deserializeAttachment() as Member).id));
    this.orphans = [...this.ledger.extras.keys()].filter((id) => !ids.has(id));
    this.log = this.limits === null || part !== null ? null : new Log(ctx.storage.sql, this.limits);
    this.answered = part !== null ? null : new Answered(ctx.storage.sql, this.settings.dedupeSeconds);
    this.calls = new Calls(env.TOPICS);
    this.lists = new Calls(env.DIRECTORY);
  }

  /** The topic's connections, wherever their sockets are. */
  get connections(): number {
    return this.members.connections + this.ledger.relayed + this.ledger.parted;
  }

  keeps(topic: string): boolean {
    return this.settings.history.of(topic) !== null;
  }

  /** The past of a topic, which the object has that makes its order: this one or another. */
  past(topic: string): Past {
    if (topic === this.name && this.part === null) return this.self;
    return {
      storedAt: (id) => this.calls.to(topic, (whole) => whole.storedAt(id)),
      locate: (start) => this.calls.to(topic, (whole) => whole.locate(start)),
      read: (after) => this.calls.to(topic, (whole) => whole.read(after)),
    };
  }

  /** Call a part of this topic. */
  async callPart<Answer>(part: number, call: (stub: DurableObjectStub<Topic>) => PromiseLike<Answer>): Promise<Answer> {
    return this.calls.to(objectName(this.name, part), call);
  }

  /** Tell the lists, one thing after the other. */
  async list<Answer>(call: (directory: DurableObjectStub<Directory>) => PromiseLike<Answer>): Promise<Answer> {
    return this.lists.to(NAME, call);
  }

  /** Keep nothing where nobody is left: an object without storage costs nothing. @param opening Connections that come. */
  tidy(opening: number): void {
    if (this.connections === 0 && opening === 0) this.members.forgetCounters();
    if (this.members.size > 0 || opening > 0 || this.log !== null || !this.ledger.empty || this.answered?.any) return;
    if (!this.ledger.stored && !this.answered?.isStored) return;
    this.ledger.forget();
    this.answered?.emptied();
    void this.ctx.storage.deleteAll();
  }
}
