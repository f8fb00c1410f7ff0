/** The API keys: who may publish and administer. */

/**
 * Tell whether a request carries one of the keys, as `authorization: Bearer KEY` (RFC 6750 §2.1) or `x-api-key: KEY`.
 *
 * The time that it takes says nothing about the keys: every key is compared, whether one has matched or not, and digests
 * of one length stand for keys of any length.
 */
export async function allows(keys: readonly string[], headers: Headers): Promise<boolean> {
  const [scheme, token] = split(strip(headers.get("authorization") ?? ""));
  // Schemes are compared without case (RFC 9110 §11.1).
  const bearer = scheme.toLowerCase() === "bearer" ? token : "";
  const tokens = [bearer, strip(headers.get("x-api-key") ?? "")].filter((each) => each !== "");
  if (tokens.length === 0) return false;
  const known = await digestsOf(keys);
  let allowed = false;
  for (const digest of await Promise.all(tokens.map(sha256))) {
    for (const each of known) allowed = crypto.subtle.timingSafeEqual(digest, each) || allowed;
  }
  return allowed;
}

export async function sha256(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}

// Kept for the isolate's life: the keys are hashed once, not for each request.
let digests: { keys: readonly string[]; values: ArrayBuffer[] } | undefined;

async function digestsOf(keys: readonly string[]): Promise<ArrayBuffer[]> {
  if (digests?.keys !== keys) digests = { keys, values: await Promise.all(keys.map(sha256)) };
  return digests.values;
}

function split(authorization: string): [string, string] {
  const space = authorization.indexOf(" ");
  return space < 0 ? [authorization, ""] : [authorization.slice(0, space), strip(authorization.slice(space))];
}

function strip(value: string): string {
  return value.replace(/^[ \t]+|[ \t]+$/g, "");
}
