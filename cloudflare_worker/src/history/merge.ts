/**
 * The replays of several topics, put into one order: each topic's own, and between topics that of the events' times.
 * So whoever is cut off in the middle has everything that is older than the last event that it got. Pure.
 */

/** How far the times of events of one topic may be out of its order: publishers' Workers have clocks of their own. */
export const SKEW_MS = 5000;

/** What must be known of an event. */
export interface Past {
  /** Names the event where it has several topics; else empty. */
  key: string;
  topics: readonly string[];
  /** RFC 3339. */
  time: string;
}

interface Queue<Item> {
  waiting: { item: Item; at: number }[];
  ended: boolean;
  /** Keys of its events that have been taken. */
  passed: Set<string>;
}

export class Merge<Item extends Past> {
  private readonly queues: Map<string, Queue<Item>>;

  constructor(topics: readonly string[]) {
    this.queues = new Map(topics.map((topic) => [topic, { waiting: [], ended: false, passed: new Set<string>() }]));
  }

  /** Topics of which more must be added, or the end be told, before `next` can say anything. */
  get wanting(): string[] {
    return [...this.queues].filter(([, { waiting, ended }]) => waiting.length === 0 && !ended).map(([topic]) => topic);
  }

  has(topic: string): boolean {
    return this.queues.has(topic);
  }

  /** Add a topic's next event. */
  add(topic: string, item: Item): void {
    this.queues.get(topic)?.waiting.push({ item, at: Date.parse(item.time) });
  }

  /** Say that a topic has no more. */
  end(topic: string): void {
    const queue = this.queues.get(topic);
    if (queue !== undefined) queue.ended = true;
  }

  /** Take the next event, with the topic that it is taken from; null when a topic is wanting, and when there is none. */
  next(): { topic: string; item: Item } | null {
    if (this.wanting.length > 0) return null;
    let oldest: { topic: string; at: number; early: boolean } | null = null;
    for (const [topic, { waiting }] of this.queues) {
      const [head] = waiting;
      if (head === undefined) continue;
      const early = this.comesLater(head.item, head.at);
      if (oldest === null || Number(early) < Number(oldest.early) || (early === oldest.early && head.at < oldest.at)) {
        oldest = { topic, at: head.at, early };
      }
    }
    if (oldest === null) return null;
    const queue = this.queues.get(oldest.topic);
    const taken = queue?.waiting.shift();
    if (queue === undefined || taken === undefined) return null;
    if (taken.item.key !== "") queue.passed.add(taken.item.key);
    return { topic: oldest.topic, item: taken.item };
  }

  /** Tell whether another of the event's topics has others before it. */
  private comesLater({ key, topics }: Item, at: number): boolean {
    if (key === "") return false;
    return topics.some((topic) => {
      const queue = this.queues.get(topic);
      const head = queue?.waiting[0];
      return head !== undefined && head.item.key !== key && !queue?.passed.has(key) && head.at <= at + SKEW_MS;
    });
  }
}
