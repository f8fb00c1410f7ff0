import { useSyncExternalStore } from "react";

import { Store } from "./store";

const now = new Store(Date.now());
/** Milliseconds by which the gateway's clock is ahead of this one. */
let ahead = 0;

/**
 * Takes the time from an answer's `date` header: a browser whose clock is wrong must not show live nodes as silent.
 * A header that says whole seconds tells nothing of a smaller difference.
 */
export function noteGatewayTime(date: string | null): void {
  const difference = date === null ? Number.NaN : Date.parse(date) - Date.now();
  if (Number.isFinite(difference)) ahead = Math.abs(difference) > 2000 ? difference : 0;
}

/** The gateway's time as far as it is known, in milliseconds since the epoch. */
export function gatewayTime(): number {
  return Date.now() + ahead;
}

let timer: ReturnType<typeof setInterval> | undefined;
let users = 0;

function subscribe(listener: () => void): () => void {
  const unsubscribe = now.subscribe(listener);
  users += 1;
  timer ??= setInterval(() => now.set(gatewayTime()), 1000);
  return () => {
    unsubscribe();
    users -= 1;
    if (users > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The gateway's time, in milliseconds, to about a second; components that use it move on together. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, now.get);
}
