/** What a client missed in one topic, page by page, up to where live events go on. */

import type { Past } from "../topic/here";
import type { Start } from "../wire/link";
import type { Gap, Kept, Standing } from "./log";

export class Replay {
  /** Number of its last event: what is live begins behind it. */
  readonly last: number;
  /** What it cannot give, to be told before the next page. */
  gaps: Gap[];
  private after: number;
  private begun = false;

  private constructor(
    private readonly past: Past,
    { after, last, gaps }: Standing,
  ) {
    this.after = after;
    this.last = last;
    this.gaps = gaps;
  }

  /** Find where it begins; null when the topic keeps nothing. */
  static async begin(past: Past, start: Start): Promise<Replay | null> {
    const standing = await past.locate(start);
    return standing === null ? null : new Replay(past, standing);
  }

  get ended(): boolean {
    return this.after >= this.last;
  }

  /** Read the next events; none at the end. */
  async next(): Promise<Kept[]> {
    this.gaps = [];
    if (this.ended) return [];
    // What has been published since it began waits among the live events.
    const page = (await this.past.read(this.after)).filter(({ number }) => number <= this.last);
    // The first page's hole has been told with the standing; one behind it was evicted while others were read.
    const missed = (page[0]?.number ?? this.last + 1) - this.after - 1;
    if (this.begun && missed > 0) this.gaps = [{ missed, reason: "evicted" }];
    this.begun = true;
    this.after = page.at(-1)?.number ?? this.last;
    return page;
  }
}
