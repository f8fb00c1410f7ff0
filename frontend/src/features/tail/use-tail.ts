import { useEffect, useState, useSyncExternalStore } from "react";

import { useSession } from "@/shared/session";

import { TailBuffer } from "./buffer";
import { follow, type Status } from "./follow";

/** Tails a topic for as long as the component is there. Give the component the topic as its key. */
export function useTail(topic: string) {
  const { key, refused } = useSession();
  const [buffer] = useState(() => new TailBuffer());
  const [status, setStatus] = useState<Status>({ state: "connecting" });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    // Nothing is asked with a key that the gateway does not take; a new one begins again, and the entries stay.
    if (key === null || refused) return undefined;
    const controller = new AbortController();
    const stop = () => controller.abort();
    void follow({ topic, signal: controller.signal, onEntry: (entry) => buffer.add(entry), onStatus: setStatus });
    window.addEventListener("pagehide", stop);
    return () => {
      window.removeEventListener("pagehide", stop);
      stop();
    };
  }, [topic, key, refused, attempt, buffer]);
  return {
    view: useSyncExternalStore(buffer.subscribe, buffer.view),
    status,
    clear: () => buffer.clear(),
    again: () => setAttempt((count) => count + 1),
  };
}
