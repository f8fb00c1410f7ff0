/**
 * Every error that the gateway raises on purpose.
 *
 * InvalidInput   a client sent something malformed
 * Refused        a connection that is well-formed but not taken now
 * Unavailable    an object cannot be reached: nothing true can be said
 * WrongSetting   a variable that stops the Worker
 */

import type { Slug } from "./problems";

/** Something that a client sent is malformed; `detail` says what is wrong and what to do, and is safe to show. */
export class InvalidInput extends Error {
  readonly slug: Slug;

  constructor(slug: Slug, detail: string) {
    super(detail);
    this.slug = slug;
  }
}

/** A well-formed connection that is not taken now. */
export class Refused extends Error {
  readonly status: 429 | 503;

  constructor(status: 429 | 503, detail: string) {
    super(detail);
    this.status = status;
  }
}

/** Why the directory did not list a connection, as its client is told. */
export function refusal(why: "ended" | "full" | "full-client"): Refused {
  if (why === "full") return new Refused(503, "The gateway holds as many connections as it may; try again.");
  if (why === "full-client") return new Refused(429, "This address holds as many connections as it may; close some.");
  return new Refused(503, "The connection ended while it opened; try again.");
}

/** An object cannot be reached, so neither 200 nor 204 would be true. */
export class Unavailable extends Error {}

/** A setting that is wrong; the message says which, and what to set. */
export class WrongSetting extends Error {}
