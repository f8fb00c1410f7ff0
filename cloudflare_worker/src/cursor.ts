/** Cursors: where the next page of a list begins, signed, so that only the gateway's own are taken. */

import { InvalidInput } from "./exceptions";
import { sha256 } from "./keys";

/** The cursors of one list. As long as the API keys stay, every Worker takes them. */
export class Cursor {
  constructor(
    private readonly name: string,
    private readonly keys: readonly string[],
  ) {}

  async sign(position: string): Promise<string> {
    const mac = await crypto.subtle.sign("HMAC", await this.key(), new TextEncoder().encode(position));
    return `${base64(new TextEncoder().encode(position))}~${base64(new Uint8Array(mac))}`;
  }

  /** Return the position that a cursor stands for. @throws InvalidInput The gateway did not give it for this list. */
  async read(cursor: string): Promise<string> {
    const [position, mac, ...more] = cursor.split("~").map(unbase64);
    if (position && mac && more.length === 0) {
      const genuine = await crypto.subtle.verify("HMAC", await this.key(), mac, position);
      const text = new TextDecoder().decode(position);
      // Base64 has several spellings of some bytes: only the gateway's own counts.
      if (genuine && (await this.sign(text)) === cursor) return text;
    }
    const detail = `cursor is not one of the list of ${this.name}; send a 'next' of this list, or none to begin.`;
    throw new InvalidInput("invalid-cursor", detail);
  }

  private async key(): Promise<CryptoKey> {
    const secret = await sha256(`cursor.${this.name}\n${this.keys.join("\n")}`);
    return crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  }
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function unbase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
