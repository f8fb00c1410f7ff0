/** What a client is told when a request fails: problem details (RFC 9457). Pure. */

import { InvalidInput, Refused, Unavailable } from "./exceptions";

/** Every problem type that the gateway answers with, and its title; docs/reference/errors.md lists them. */
export const TITLES = {
  "internal-error": "The gateway failed",
  "invalid-body": "The body is malformed",
  "invalid-cursor": "The cursor is not one of this list",
  "invalid-event-type": "The event type is malformed or reserved",
  "invalid-id": "The event id is malformed",
  "invalid-query": "A query parameter is malformed",
  "invalid-request": "The request is malformed",
  "invalid-retry": "The retry is malformed",
  "invalid-topic": "The topic list is malformed",
  "method-not-allowed": "The method is not allowed here",
  "missing-header": "A required header is missing",
  "not-found": "There is nothing here",
  "origin-not-allowed": "This origin is not allowed",
  timeout: "The request took too long",
  "too-large": "The request is too large",
  "too-many-connections": "There are too many connections",
  unauthorized: "The API key is missing or wrong",
  unavailable: "The gateway cannot answer truthfully now",
  "upgrade-required": "This is a WebSocket",
} as const;

export type Slug = keyof typeof TITLES;

/** The members of a problem details object (RFC 9457 §3.1). */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail: string;
}

/** One failed request, as the client is told: never a secret, never a traceback. */
export class Problem extends Error {
  readonly status: number;
  readonly slug: Slug;
  readonly headers: Record<string, string>;

  constructor(status: number, slug: Slug, detail: string, headers: Record<string, string> = {}) {
    super(detail);
    this.status = status;
    this.slug = slug;
    this.headers = headers;
  }

  details(): ProblemDetails {
    return { type: `/problems/${this.slug}`, title: TITLES[this.slug], status: this.status, detail: this.message };
  }

  response(): Response {
    return new Response(JSON.stringify(this.details()), {
      status: this.status,
      headers: { "content-type": "application/problem+json", "cache-control": "no-store", ...this.headers },
    });
  }
}

/** Return the one answer to a missing or wrong key: it tells nothing else (RFC 6750 §3). */
export function unauthorized(): Problem {
  const detail = "Send an API key as 'authorization: Bearer KEY' or 'x-api-key: KEY'.";
  return new Problem(401, "unauthorized", detail, { "www-authenticate": "Bearer" });
}

/** Return the answer to a method that a path does not know (RFC 9110 §15.5.6). */
export function methodNotAllowed(method: string, allow: string): Problem {
  // A method is a token of any length: repeat only what a person would have typed.
  const name = /^[A-Za-z]{1,16}$/.test(method) ? method : "This method";
  return new Problem(405, "method-not-allowed", `${name} is not allowed here; use ${allow}.`, { allow });
}

/** Return the answer to a body over `limit` bytes. */
export function tooLarge(limit: number): Problem {
  return new Problem(413, "too-large", `The body is over ${limit} bytes; send a smaller one.`);
}

export function notFound(detail = "There is nothing at this path; /api/docs lists the endpoints."): Problem {
  return new Problem(404, "not-found", detail);
}

/** Return the problem that an error means to a client. What is not the gateway's own is logged, and told as a 500. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof InvalidInput) return new Problem(400, error.slug, error.message);
  if (error instanceof Refused) {
    return new Problem(error.status, "too-many-connections", error.message, { "retry-after": "1" });
  }
  if (error instanceof Unavailable) {
    const detail = "The placement store cannot be reached, so nothing true can be said; try again.";
    return new Problem(503, "unavailable", detail, { "retry-after": "1" });
  }
  return new Problem(500, "internal-error", "The gateway failed; its log says why. Try again.");
}
