/** Logs: one JSON object a line, as the Python gateway writes them; `wrangler tail` shows them. */

export const LEVELS = ["info", "warning", "error"] as const;

export type Level = (typeof LEVELS)[number];

let least: Level = "info";

/** Leave out what is below a level. */
export function setLevel(level: Level): void {
  least = level;
}

export function log(level: Level, event: string, fields: object = {}): void {
  if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
  const line = JSON.stringify({ event, level, timestamp: new Date().toISOString(), ...fields });
  if (level === "error") console.error(line);
  else console.log(line);
}
