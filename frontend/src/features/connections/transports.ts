import type { Transport } from "@/shared/api/types";

/** The transports by the names that people know. */
export const TRANSPORTS: Readonly<Record<Transport, string>> = { sse: "SSE", websocket: "WebSocket" };

export function isTransport(text: string | null): text is Transport {
  return text !== null && Object.hasOwn(TRANSPORTS, text);
}
