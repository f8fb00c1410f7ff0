/** A number as it was sent, where JavaScript's own would be another: 12345678901234567890. */
export class ExactNumber {
  constructor(readonly source: string) {}
}

export type Json = null | boolean | number | string | ExactNumber | Json[] | { [name: string]: Json };

/** Texts longer than this are not parsed for show: the page would stand still. */
export const MAX_PARSED = 300_000;

interface Context {
  source?: string;
}

function exact(this: unknown, _name: string, value: unknown, context?: Context): unknown {
  if (typeof value === "number" && context?.source !== undefined && String(value) !== context.source) {
    return new ExactNumber(context.source);
  }
  return value;
}

/** The object or array that a text is as JSON; null when it is none, or too long to show as a tree. */
export function parseJson(text: string): Json[] | Record<string, Json> | null {
  if (text.length > MAX_PARSED || !/^\s*[[{]/.test(text)) return null;
  try {
    return JSON.parse(text, exact) as Json[] | Record<string, Json>;
  } catch {
    return null;
  }
}
