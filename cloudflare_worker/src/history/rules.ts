/** Which topics keep how much: the setting `GATEWAY_HISTORY`, read. Pure. */

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const RULE = /^([\x21-\x2b\x2d-\x7e]{1,255})=([^=\s]+)$/;
const AMOUNT = /^(?:(\d{1,9})(?:\/(\d{1,6})([smhd]))?|(\d{1,6})([smhd]))$/;
const ADVICE =
  "write PATTERN=COUNT, PATTERN=AGE or PATTERN=COUNT/AGE, such as orders.*=1000/1h (ages in s, m, h or d; 0 keeps nothing)";

/** How much of a topic is kept; null is no limit. */
export interface Limits {
  events: number | null;
  seconds: number | null;
}

/** The patterns of one gateway. */
export class Rules {
  private readonly ordered: [RegExp, Limits | null][];

  constructor(limits: readonly [string, Limits | null][]) {
    // The longest match wins: the pattern with the most characters of its own, then the one given first.
    const own = (pattern: string): number => pattern.replaceAll("*", "").length;
    this.ordered = [...limits]
      .sort(([a], [b]) => own(b) - own(a))
      .map(([pattern, amount]) => [expression(pattern), amount]);
  }

  /** Return a topic's limits, null when it keeps nothing. */
  of(topic: string): Limits | null {
    return this.ordered.find(([pattern]) => pattern.test(topic))?.[1] ?? null;
  }
}

/**
 * Read the setting.
 *
 * @param value Rules separated by commas; no pattern is given twice.
 * @throws Error Which rule is wrong, and what to write.
 */
export function parseRules(value: string): Rules {
  const limits = new Map<string, Limits | null>();
  for (const item of value.split(",").map((each) => each.trim())) {
    if (item === "") continue;
    const [, pattern, text] = RULE.exec(item) ?? [];
    if (pattern === undefined || text === undefined) throw new Error(`'${item}' is not a rule; ${ADVICE}`);
    if (limits.has(pattern)) throw new Error(`the pattern '${pattern}' is given twice; give it once`);
    const amount = AMOUNT.exec(text);
    if (amount === null) throw new Error(`'${text}' is not an amount; ${ADVICE}`);
    limits.set(pattern, limitsOf(amount));
  }
  return new Rules([...limits]);
}

function limitsOf([, count, age, unit, onlyAge, onlyUnit]: RegExpExecArray): Limits | null {
  const events = count === undefined ? null : Number(count);
  const given = age ?? onlyAge;
  const seconds = given === undefined ? null : Number(given) * (UNITS[unit ?? onlyUnit ?? "s"] ?? 1);
  return events === 0 || seconds === 0 ? null : { events, seconds };
}

function expression(pattern: string): RegExp {
  const parts = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s");
}
