/** The names of objects: a topic's own is the topic's, and its parts are numbered. Pure. */

// A newline is in no topic, so it divides a topic's name from the number of one of its parts.
const PART = "\n";

/** The name of a topic's object, or of one of its parts. */
export function objectName(topic: string, part: number | null): string {
  return part === null ? topic : `${topic}${PART}${part}`;
}

/** Read an object's name. */
export function readName(name: string): { topic: string; part: number | null } {
  const [topic = "", part] = name.split(PART);
  return { topic, part: part === undefined ? null : Number(part) };
}
