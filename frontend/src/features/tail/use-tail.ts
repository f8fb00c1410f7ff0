import { useEffect, useState, useSyncExternalStore } from "react";

import { useSession } from "@/shared/session";

import { TailBuffer } from "./buffer";
import type { Entry } from "./entries";
import { follow, type Status } from "./follow";

/**
 * Tails a topic for as long as the component is there, beginning with the last events that it keeps. Give the component
 * both as its key.
 */
export function useTail(topic: string, last: number) {
  const { key, refused } = useSession();
  const [buffer] = useState(() => new TailBuffer());
  const [status, setStatus] = useState<Status>({ state: "connecting" });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    // Nothing is asked with a key that the gateway does not take; a new one begins again, and the entries stay.
    if (key === null || refused) return undefined;
    const controller = new AbortController();
    const stop = () => controller.abort();
    const onEntry = (entry: Entry) => buffer.add(entry);
    void follow({ topic, last, signal: controller.signal, onEntry, onStatus: setStatus });
    window.addEventListener("pagehide", stop);
    return () => {
      window.removeEventListener("pagehide", stop);
      stop();
    };
  }, [topic, last, key, refused, attempt, buffer]);
  return {
    view: useSyncExternalStore(buffer.subscribe, buffer.view),
    status,
    clear: () => buffer.clear(),
    again: () => setAttempt((count) => count + 1),
  };
}
