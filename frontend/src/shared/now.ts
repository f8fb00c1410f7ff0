import { useSyncExternalStore } from "react";

import { Store } from "./store";

const now = new Store(Date.now());
let timer: ReturnType<typeof setInterval> | undefined;
let users = 0;

function subscribe(listener: () => void): () => void {
  const unsubscribe = now.subscribe(listener);
  users += 1;
  timer ??= setInterval(() => now.set(Date.now()), 1000);
  return () => {
    unsubscribe();
    users -= 1;
    if (users > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The time, in milliseconds, to about a second; components that use it move on together. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, now.get);
}
