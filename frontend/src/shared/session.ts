import { useSyncExternalStore } from "react";

import { Store } from "./store";

const STORAGE_KEY = "sse-gateway.key";

export interface Session {
  /** The API key, once the gateway has taken it; null when signed out. */
  key: string | null;
  /** Whether the gateway has since refused the key. The page stays; the key is asked for again. */
  refused: boolean;
}

// Storage can be forbidden (private windows, policies): the key then lasts as long as the page.
function stored(): string | null {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

function store(key: string | null): void {
  try {
    if (key === null) localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, key);
  } catch {
    // As above.
  }
}

const session = new Store<Session>({ key: stored(), refused: false });

window.addEventListener("storage", (event) => {
  if (event.key === STORAGE_KEY || event.key === null) session.set({ key: stored(), refused: false });
});

export function currentKey(): string | null {
  return session.get().key;
}

/** Keeps a key that the gateway has taken. */
export function signIn(key: string): void {
  store(key);
  session.set({ key, refused: false });
}

export function signOut(): void {
  store(null);
  session.set({ key: null, refused: false });
}

/** Says that the gateway answered 401 to a key. A late answer to an older key changes nothing. */
export function keyRefused(key: string | null): void {
  const now = session.get();
  if (now.key !== null && now.key === key && !now.refused) session.set({ ...now, refused: true });
}

export function useSession(): Session {
  return useSyncExternalStore(session.subscribe, session.get);
}
