import type { Entry } from "./entries";

/** Most entries kept, and most characters of data in them: a tail may stay open for days. */
export const MAX_ENTRIES = 10_000;
export const MAX_CHARACTERS = 32_000_000;

const FLUSH_MS = 100;

export interface View {
  entries: readonly Entry[];
  /** Events received, kept or not. */
  received: number;
  /** Entries given up so that the newer ones fit. */
  forgotten: number;
}

const EMPTY: View = { entries: [], received: 0, forgotten: 0 };

function weight(entry: Entry): number {
  return entry.kind === "published" ? entry.data.length : 0;
}

/** The newest entries of a tail. Readers hear of new ones ten times a second at most, however fast they come. */
export class TailBuffer {
  #view = EMPTY;
  #fresh: Entry[] = [];
  #characters = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly maxEntries = MAX_ENTRIES,
    private readonly maxCharacters = MAX_CHARACTERS,
  ) {}

  readonly view = (): View => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  add(entry: Entry): void {
    this.#fresh.push(entry);
    this.#characters += weight(entry);
    // A page in the background is told once a second at best, so the bounds hold without the timer too.
    if (this.#fresh.length > this.maxEntries || this.#characters > 2 * this.maxCharacters) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#fresh.length === 0) return;
    const all = [...this.#view.entries, ...this.#fresh];
    const events = this.#fresh.filter((entry) => entry.kind !== "notice").length;
    this.#fresh = [];
    let first = Math.max(0, all.length - this.maxEntries);
    for (const entry of all.slice(0, first)) this.#characters -= weight(entry);
    // The newest entry stays, whatever its size.
    for (; this.#characters > this.maxCharacters && first < all.length - 1; first += 1) {
      const entry = all[first];
      if (entry) this.#characters -= weight(entry);
    }
    this.#show({
      entries: first > 0 ? all.slice(first) : all,
      received: this.#view.received + events,
      forgotten: this.#view.forgotten + first,
    });
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#fresh = [];
    this.#characters = 0;
    this.#show(EMPTY);
  }

  #show(view: View): void {
    this.#view = view;
    for (const listener of [...this.#listeners]) listener();
  }
}
