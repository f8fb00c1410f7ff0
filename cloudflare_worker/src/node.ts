/** The node of a request: the Cloudflare location whose Worker answers it. */

/** Its three letters, or `local` where nothing tells. */
export function coloOf(request: Request): string {
  const colo: unknown = request.cf?.colo;
  return typeof colo === "string" && /^[\x21-\x2b\x2d-\x7e]{1,255}$/.test(colo) ? colo : "local";
}

/** An unguessable id of 22 characters. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
