import { QueryClient } from "@tanstack/react-query";

import { ApiError } from "./api/client";

/** Milliseconds between two looks at what changes by the second, and at what seldom does. */
export const OFTEN = 2000;
export const SELDOM = 5000;

/** Answers that stay the same however often one asks. */
function isFinal(error: Error): boolean {
  return error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
}

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: (failures, error) => failures < 1 && !isFinal(error),
        retryDelay: 500,
        staleTime: 1000,
        gcTime: 60_000,
        // A gateway on this machine is there without any network.
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
}

/** The time to the next look; after an answer that stays the same there is none until the user acts. */
export function interval(every: number) {
  return (query: { state: { error: Error | null; status: string } }): number | false =>
    query.state.status === "error" && query.state.error && isFinal(query.state.error) ? false : every;
}
