import { useSyncExternalStore } from "react";

import { Store } from "./store";

const STORAGE_KEY = "sse-gateway.theme";

export type Theme = "system" | "light" | "dark";

function stored(): Theme {
  try {
    const value = localStorage.getItem(STORAGE_KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

const theme = new Store<Theme>(stored());

function apply(): void {
  const value = theme.get();
  if (value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = value;
}

apply();

export function setTheme(value: Theme): void {
  try {
    if (value === "system") localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  theme.set(value);
  apply();
}

export function useTheme(): Theme {
  return useSyncExternalStore(theme.subscribe, theme.get);
}
