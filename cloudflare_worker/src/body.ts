/** Reading a request's body, bounded in size and time. */

import { Problem, tooLarge } from "./problems";

/**
 * Read a whole body as UTF-8 text.
 *
 * @param body The request's, null for none.
 * @param limit Largest body, in bytes.
 * @param seconds Longest time for all of it.
 * @throws Problem Too large (413), too slow (408), broken off or not UTF-8 (400).
 */
export async function readText(
  body: ReadableStream<Uint8Array> | null,
  limit: number,
  seconds: number,
): Promise<string> {
  if (body === null) return "";
  const reader = body.getReader();
  const slow = new Problem(408, "timeout", `The body did not arrive within ${seconds} seconds; send it again.`);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(slow);
    }, seconds * 1000);
  });
  try {
    return await Promise.race([decoded(reader, limit), deadline]);
  } catch (error) {
    // Whatever still comes is not wanted; a reader that has failed has nothing to cancel.
    void reader.cancel().catch(() => undefined);
    if (error instanceof Problem) throw error;
    throw new Problem(400, "invalid-body", "The body broke off or is not UTF-8; send UTF-8 text.");
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}

async function decoded(reader: ReadableStreamDefaultReader<Uint8Array>, limit: number): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.byteLength;
    if (size > limit) throw tooLarge(limit);
    text += decoder.decode(value, { stream: true });
  }
}
