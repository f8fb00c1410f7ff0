/** How many rates a topic's sparkline shows. */
export const TREND_LENGTH = 30;

const FORGET_AFTER_MS = 60_000;

interface Course {
  at: number;
  events: number;
  trend: readonly number[];
}

export interface TopicRate {
  /** Events per second between the last two looks; null before the second. */
  rate: number | null;
  /** Rates of the looks before, oldest first. */
  trend: readonly number[];
}

/** Rates of topics out of their counters, look by look. */
export class TopicRates {
  readonly #courses = new Map<string, Course>();

  /**
   * Takes one look.
   *
   * @param topics - Names and counters; a counter lower than before belongs to a topic that went and came back.
   * @param now - When it was, in milliseconds of any clock that never goes back.
   */
  look(topics: readonly { name: string; events: number }[], now: number): void {
    for (const { name, events } of topics) {
      const before = this.#courses.get(name);
      if (!before) {
        this.#courses.set(name, { at: now, events, trend: [] });
        continue;
      }
      const seconds = (now - before.at) / 1000;
      if (seconds <= 0) continue;
      const more = events >= before.events ? events - before.events : events;
      this.#courses.set(name, { at: now, events, trend: [...before.trend, more / seconds].slice(-TREND_LENGTH) });
    }
    for (const [name, { at }] of this.#courses) if (now - at > FORGET_AFTER_MS) this.#courses.delete(name);
  }

  of(name: string): TopicRate {
    const trend = this.#courses.get(name)?.trend ?? [];
    return { rate: trend.at(-1) ?? null, trend };
  }
}
