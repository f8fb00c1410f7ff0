/** With how many of the events that a topic keeps a tail may begin; the gateway gives at most 500. */
export const LAST_CHOICES = [0, 10, 100, 500] as const;

/** Reads the address's `last`; what is no choice is none. */
export function readLast(text: string | null): number {
  return LAST_CHOICES.find((choice) => String(choice) === text) ?? 0;
}
