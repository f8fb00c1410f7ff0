/** One block of an event stream: an event, or the reconnect time alone. */
export interface SseEvent {
  /** The event type; `message` when none was given. */
  type: string;
  data: string;
  /** Reconnect time in milliseconds, where the block has one. */
  retry: number | null;
}

/**
 * Reads an event stream (WHATWG HTML §9.2.6) that comes in pieces. Beside EventSource it also gives the `retry:` of a
 * block, and blocks that hold nothing else. Ids are of no use to a tail, which cannot be resumed.
 */
export class SseParser {
  // Pieces of the line that has not ended yet. They are joined once, so a long line takes time in proportion.
  #pieces: string[] = [];
  #afterCr = false;
  #type = "";
  #data: string[] = [];
  #retry: number | null = null;
  #first = true;

  /** Takes a piece of the stream, and gives the blocks that it completed. */
  push(piece: string): SseEvent[] {
    const events: SseEvent[] = [];
    let text = piece;
    if (this.#first && text) {
      this.#first = false;
      if (text.startsWith("\ufeff")) text = text.slice(1);
    }
    if (this.#afterCr && text) {
      this.#afterCr = false;
      if (text.startsWith("\n")) text = text.slice(1);
    }
    let start = 0;
    for (const end of text.matchAll(/\r\n?|\n/g)) {
      this.#pieces.push(text.slice(start, end.index));
      start = end.index + end[0].length;
      // The LF of this CR may be the next piece's first character.
      this.#afterCr = end[0] === "\r" && start === text.length;
      const line = this.#pieces.length === 1 ? (this.#pieces[0] ?? "") : this.#pieces.join("");
      this.#pieces = [];
      const event = this.#line(line);
      if (event) events.push(event);
    }
    if (start < text.length) this.#pieces.push(text.slice(start));
    return events;
  }

  #line(line: string): SseEvent | null {
    if (line === "") return this.#block();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.#retry = Number(value);
    return null;
  }

  #block(): SseEvent | null {
    const event =
      this.#data.length > 0 || this.#retry !== null
        ? { type: this.#type || "message", data: this.#data.join("\n"), retry: this.#retry }
        : null;
    this.#type = "";
    this.#data = [];
    this.#retry = null;
    return event;
  }
}
