/** Which origins' pages may use an endpoint (WHATWG Fetch §3.2, "CORS protocol"). Pure. */

// How long a browser may remember a preflight, in seconds; Chromium keeps none longer.
const MAX_AGE_SECONDS = 7200;

/** The rule for one group of endpoints. */
export class Cors {
  /**
   * @param origins Origins as browsers send them; `*` is every origin. Empty: no other origin.
   * @param methods What a page may do.
   * @param headers Request headers that a page may set.
   * @param expose Response headers that a page may read.
   */
  constructor(
    private readonly origins: readonly string[],
    private readonly methods: string,
    private readonly headers: string,
    private readonly expose = "",
  ) {}

  /** Tell whether a page of this origin may; a request without an origin is no page's. */
  allows(origin: string | null): boolean {
    return origin === null || this.origins.includes("*") || this.origins.includes(origin);
  }

  /** Return the headers that any response to `origin` needs. */
  response(origin: string | null): Record<string, string> {
    const expose: Record<string, string> = this.expose === "" ? {} : { "access-control-expose-headers": this.expose };
    if (this.origins.includes("*")) return { "access-control-allow-origin": "*", ...expose };
    // The answer depends on who asks, whether or not it is allowed: caches must know.
    const vary: Record<string, string> = this.origins.length > 0 ? { vary: "origin" } : {};
    if (origin !== null && this.allows(origin)) return { "access-control-allow-origin": origin, ...vary, ...expose };
    return vary;
  }

  /** Return the headers of the answer to a preflight; without the permission when there is none. */
  preflight(origin: string | null): Record<string, string> {
    if (origin === null || !this.allows(origin)) return this.response(origin);
    return {
      ...this.response(origin),
      "access-control-allow-methods": this.methods,
      "access-control-allow-headers": this.headers,
      "access-control-max-age": String(MAX_AGE_SECONDS),
    };
  }
}
