/** The way to the page shown: the cursors of the pages before it, kept with the browser's history. */
export interface Trail {
  /** Cursors of the pages passed, first page first; the first page's is null. */
  cursors: readonly (string | null)[];
}

/** Reads what the browser's history has kept; null when the address was opened by a link. */
export function readTrail(state: unknown): Trail | null {
  if (typeof state !== "object" || state === null || !("cursors" in state) || !Array.isArray(state.cursors))
    return null;
  const cursors: unknown[] = state.cursors;
  return cursors.every((cursor) => cursor === null || typeof cursor === "string") ? { cursors } : null;
}

/** The trail of the page after this one. */
export function onward(trail: Trail | null, cursor: string | null): Trail | null {
  if (cursor === null) return { cursors: [null] };
  return trail && { cursors: [...trail.cursors, cursor] };
}
