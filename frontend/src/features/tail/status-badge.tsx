import { cn } from "@/shared/cn";
import { useNow } from "@/shared/now";

import type { Status } from "./follow";

function describe(status: Status): string {
  switch (status.state) {
    case "connecting":
      return "Connecting";
    case "live":
      return `Live from ${status.node}`;
    case "waiting": {
      const seconds = Math.ceil((status.until - Date.now()) / 1000);
      return seconds > 0 ? `${status.why} Connecting again in ${seconds} s` : `${status.why} Connecting again`;
    }
    case "refused":
      return "Not connected";
  }
}

/** Whether the tail is live. A screen reader hears of each change, not of each second. */
export function StatusBadge({ status }: { status: Status }) {
  // Counts the seconds down.
  useNow();
  return (
    <span className="inline-flex min-w-0 items-center gap-2 text-sm text-muted-foreground">
      <span
        aria-hidden
        className={cn(
          "size-2.5 shrink-0 rounded-full",
          status.state === "live"
            ? "bg-primary"
            : status.state === "refused"
              ? "bg-danger"
              : "animate-pulse bg-warning",
        )}
      />
      <span className="truncate">{describe(status)}</span>
      <span role="status" className="sr-only">
        {status.state === "live" && "Live"}
        {status.state === "waiting" && `${status.why} Reconnecting.`}
      </span>
    </span>
  );
}
