const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 1234567 as 1,234,567. */
export function count(value: number): string {
  return whole.format(value);
}

/** 1234567 as 1.2M; below 10,000 as it is. */
export function shortCount(value: number): string {
  return Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value);
}

/** A rate per second: about two digits that mean something, "0" only for none at all. */
export function rate(value: number): string {
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  if (value < 9.95) return value.toFixed(1);
  return value < 999.5 ? whole.format(Math.round(value)) : compact.format(value);
}

/** "1 topic", "2,000 topics". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
] as const;

/** A time span in its two largest units: "3d 4h", "12m 5s", "0s". Below zero, as clocks differ, it is "0s". */
export function duration(milliseconds: number): string {
  let left = Math.max(0, Math.floor(milliseconds / 1000));
  const parts: string[] = [];
  for (const [seconds, unit] of UNITS) {
    const amount = Math.floor(left / seconds);
    left -= amount * seconds;
    if (amount > 0) parts.push(`${amount}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0s";
}

/** How long ago an RFC 3339 time was. */
export function ago(time: string, now: number): string {
  return duration(now - Date.parse(time));
}

const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");

/** An RFC 3339 time as the reader's time of day, to the millisecond: "14:03:09.123". */
export function clock(time: string | number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** UTF-16 units or bytes: "812 B", "1.5 kB", "1.0 MB". */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
