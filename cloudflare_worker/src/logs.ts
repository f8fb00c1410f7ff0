/** Logs: one JSON object a line, as the Python gateway writes them; `wrangler tail` shows them. */

export function log(level: "info" | "warning" | "error", event: string, fields: object = {}): void {
  const line = JSON.stringify({ event, level, timestamp: new Date().toISOString(), ...fields });
  if (level === "error") console.error(line);
  else console.log(line);
}
