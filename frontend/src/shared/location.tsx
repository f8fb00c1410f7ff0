import { useMemo, useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from "react";

/** What the address says: which view, and its filters and page. `null` and "" take a parameter away. */
export type Parameters = Record<string, string | null | undefined>;

export interface Location {
  parameters: URLSearchParams;
  /** What `navigate` was given for this entry of the browser's history; it survives a reload. */
  state: unknown;
}

const listeners = new Set<() => void>();
let snapshot = { search: "", state: null as unknown };

function current() {
  const { search } = window.location;
  const state: unknown = window.history.state;
  if (search !== snapshot.search || state !== snapshot.state) snapshot = { search, state };
  return snapshot;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

export function href(parameters: Parameters): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) search.set(name, value);
  const text = search.toString();
  return text ? `?${text}` : window.location.pathname;
}

/** Changes the address. Replacing, which suits typing, makes no entry in the browser's history. */
export function navigate(
  parameters: Parameters,
  { replace = false, state = null }: { replace?: boolean; state?: unknown } = {},
): void {
  if (replace) window.history.replaceState(state, "", href(parameters));
  else window.history.pushState(state, "", href(parameters));
  for (const listener of [...listeners]) listener();
}

export function useLocation(): Location {
  const { search, state } = useSyncExternalStore(subscribe, current);
  return useMemo(() => ({ parameters: new URLSearchParams(search), state }), [search, state]);
}

interface LinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href"> {
  to: Parameters;
}

/** A link within the dashboard. It is a real one: it opens in a new tab, and can be copied. */
export function Link({ to, onClick, ...props }: LinkProps) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !plain) return;
    event.preventDefault();
    navigate(to);
  };
  return <a {...props} href={href(to)} onClick={follow} />;
}
