import { noteGatewayTime } from "@/shared/now";
import { currentKey, keyRefused } from "@/shared/session";

import type { operations } from "./schema";
import type { ConnectionPage, NodePage, SourcePage, TopicPage, Totals } from "./types";

const BASE = "/api/v1";

/** Most items that the gateway puts on one page. */
export const MAX_PAGE = 500;

type Query = Record<string, string | number | null | undefined>;
type QueryOf<Operation extends keyof operations> = NonNullable<operations[Operation]["parameters"]["query"]>;

/** What the gateway answered instead of what was asked for (RFC 9457), or `status` 0 when it could not be reached. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    /** The problem type's last part, such as `invalid-cursor`; empty when there is none. */
    readonly slug: string,
    detail: string,
  ) {
    super(detail);
  }
}

/** Whether a text can be a key at all: a header takes visible ASCII only. */
export function canBeKey(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** The address of an API path; empty parameters are left out. */
export function address(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return `${BASE}${path}${text && "?"}${text}`;
}

/**
 * Sends one request with the key as a header.
 *
 * @throws ApiError - The gateway could not be reached, or answered an error. A 401 is also told to the session.
 */
export async function send(
  url: string,
  { key = currentKey(), ...init }: RequestInit & { key?: string | null } = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      ...init,
      headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "", "The gateway cannot be reached.");
  }
  noteGatewayTime(response.headers.get("date"));
  if (response.ok) return response;
  if (response.status === 401) keyRefused(key);
  throw await problem(response);
}

async function problem(response: Response): Promise<ApiError> {
  const fallback = `The gateway answered ${response.status}.`;
  try {
    const body = (await response.json()) as { type?: unknown; detail?: unknown };
    const slug = typeof body.type === "string" ? (body.type.split("/").at(-1) ?? "") : "";
    return new ApiError(response.status, slug, typeof body.detail === "string" ? body.detail : fallback);
  } catch {
    return new ApiError(response.status, "", fallback);
  }
}

async function getJson<Body>(path: string, query: Query, signal?: AbortSignal): Promise<Body> {
  const response = await send(address(path, query), signal ? { signal } : {});
  return (await response.json()) as Body;
}

/** Whether the gateway takes a key. Asks with the key given, not with the session's. */
export async function checkKey(key: string): Promise<boolean> {
  try {
    await send(address("/stats"), { key });
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return false;
    throw error;
  }
}

export function listTopics(query: QueryOf<"listTopics">, signal?: AbortSignal): Promise<TopicPage> {
  return getJson("/topics", query, signal);
}

export function listConnections(query: QueryOf<"listConnections">, signal?: AbortSignal): Promise<ConnectionPage> {
  return getJson("/connections", query, signal);
}

export function listNodes(query: QueryOf<"listNodes">, signal?: AbortSignal): Promise<NodePage> {
  return getJson("/nodes", query, signal);
}

export function listSources(query: QueryOf<"listSources">, signal?: AbortSignal): Promise<SourcePage> {
  return getJson("/sources", query, signal);
}

export function getStats(signal?: AbortSignal): Promise<Totals> {
  return getJson("/stats", {}, signal);
}

/** Closes a connection, on whichever node; one that has gone by itself is closed as well. */
export async function closeConnection(id: string): Promise<void> {
  try {
    await send(address(`/connections/${encodeURIComponent(id)}`), { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}
