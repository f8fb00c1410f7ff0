/** What a topic's object tells the Workers that ask it. */

import type { First } from "./answered";

/** What a publisher's Worker asks before it reads a body. */
export interface Look {
  exists: boolean;
  tails: number;
  /** What an event of this id was answered within the time of dedupe, null when none was. */
  answered: First | null;
}

/** What became of an event in one topic. */
export interface Delivery {
  /** The topic's connections. */
  connections: number;
  /** Writes to sockets. */
  delivered: number;
  /** Whether the topic had it before: then nothing was written, and the connections are those of the first answer. */
  repeated: boolean;
  /** The event's key, that of the first try where it is repeated. */
  key: string;
}

/** A topic as the lists show it. */
export interface Description {
  connections: number;
  nodes: string[];
  events: number;
  last: { id: string; time: string } | null;
  /** Number of events that are kept, null where none is. */
  kept: number | null;
}

/** A publish that was dropped, as tails see it: its headers, never its body. */
export interface Drop {
  topics: string[];
  id: string;
  time: string;
  reason: string;
}
