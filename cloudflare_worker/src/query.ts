/** A request's query, read as the Python gateway reads it. Pure. */

import { InvalidInput } from "./exceptions";

/**
 * Return the query's parameters in order, decoded.
 *
 * @throws InvalidInput What it encodes is not UTF-8.
 */
export function readQuery(url: string): [string, string][] {
  const begin = url.indexOf("?");
  if (begin < 0) return [];
  const fragment = url.indexOf("#", begin);
  const query = url.slice(begin + 1, fragment < 0 ? undefined : fragment);
  return query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [decode(pair), ""] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
}

/**
 * Return the parameters by name, each given at most once.
 *
 * @param known Names that this path takes.
 * @throws InvalidInput It is not UTF-8, or holds an unknown name, or one name twice.
 */
export function readParameters(url: string, known: readonly string[]): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of readQuery(url)) {
    if (!known.includes(name)) {
      const listed = known.join(", ") || "none";
      throw new InvalidInput("invalid-query", `The query holds an unknown parameter; this path takes ${listed}.`);
    }
    if (parameters.has(name)) {
      throw new InvalidInput("invalid-query", `${name} is given more than once; give it once.`);
    }
    parameters.set(name, value);
  }
  return parameters;
}

/** Decode percent-encoded UTF-8; a `%` that begins no escape stands for itself, as browsers have it. */
export function decode(text: string): string {
  const spaced = text.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  const bytes = new TextEncoder().encode(spaced);
  const out = new Uint8Array(bytes.length);
  let size = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    const escape = bytes[index] === 0x25 ? /^[0-9A-Fa-f]{2}$/.exec(ascii(bytes, index + 1)) : null;
    out[size] = escape === null ? (bytes[index] ?? 0) : parseInt(escape[0], 16);
    if (escape !== null) index += 2;
    size += 1;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(out.subarray(0, size));
  } catch {
    throw new InvalidInput("invalid-query", "A query parameter is not UTF-8; percent-encode its characters as UTF-8.");
  }
}

function ascii(bytes: Uint8Array, start: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + 2));
}
