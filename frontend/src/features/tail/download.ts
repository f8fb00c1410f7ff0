import { toJsonLine, type Entry } from "./entries";

/** Offers entries as a file, one JSON object a line. */
export function download(topic: string, entries: readonly Entry[]): void {
  const blob = new Blob(
    entries.map((entry) => `${toJsonLine(entry)}\n`),
    { type: "application/x-ndjson" },
  );
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = fileName(topic, new Date());
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A name that every file system takes: "tail-orders.eu-20260102T030405Z.ndjson". */
export function fileName(topic: string, time: Date): string {
  const safe =
    topic
      .replace(/[^A-Za-z0-9._-]+/g, "_")
      .replace(/^\.+/, "")
      .slice(0, 80) || "topic";
  return `tail-${safe}-${time.toISOString().replace(/[-:]|\.\d+/g, "")}.ndjson`;
}
