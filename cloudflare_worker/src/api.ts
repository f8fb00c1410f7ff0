/** The JSON ways to publish: one event, or a batch. */

import { readText } from "./body";
import { checkDeclaredSize } from "./admission";
import { dropped } from "./endpoint";
import { checkEventType, checkId, checkRetry, parseTopics, rfc3339, type Event } from "./events";
import { InvalidInput, Unavailable } from "./exceptions";
import { Problem, problemOf } from "./problems";
import { publish, subscribers, type Scene } from "./publish";
import { settingsOf, type Settings } from "./settings";

/** Most events in one batch. */
const MAX_BATCH = 1000;
/**
 * So many events of a batch are published before the streams that they go to have time to write them, in milliseconds.
 * The calls of a batch leave the runtime no pause by themselves: readers as fast as any would be taken for slow.
 */
const TURN_EVENTS = 32;
const TURN_MS = 10;
const FIELDS = ["topics", "id", "data", "event", "retry"];

export async function publishJson(request: Request, scene: Scene): Promise<Response> {
  const settings = settingsOf(scene.env);
  const event = readEvent(await readJson(request, settings), settings, "The body");
  const routed = await publish(scene, event);
  if (Object.keys(routed).length === 0) return dropped();
  return Response.json({ id: event.id, subscribers: subscribers(routed), topics: routed });
}

/** Publish events one after the other. Each has its own result, as if it had been published alone. */
export async function publishBatch(request: Request, scene: Scene): Promise<Response> {
  const settings = settingsOf(scene.env);
  const batch = shape(await readJson(request, settings), ["events"], "The body");
  const { events } = batch;
  if (!Array.isArray(events)) throw new InvalidInput("invalid-body", "The field 'events' must be a list.");
  if (events.length > MAX_BATCH) {
    throw new InvalidInput("invalid-body", `The field 'events' holds too many items; send at most ${MAX_BATCH}.`);
  }
  const results: object[] = [];
  let decided = false;
  for (const [index, item] of (events as unknown[]).entries()) {
    if (index % TURN_EVENTS === TURN_EVENTS - 1) await scheduler.wait(TURN_MS);
    try {
      results.push(await publishOne(scene, readEvent(item, settings, "The event")));
      decided = true;
    } catch (error) {
      if (error instanceof Unavailable && !decided) throw error;
      const problem = problemOf(error);
      if (problem.status === 500) throw error;
      results.push(problem.details());
      if (!(error instanceof Unavailable)) continue;
      while (results.length < events.length) results.push(problem.details());
      break;
    }
  }
  return Response.json({ results });
}

async function publishOne(scene: Scene, event: Event): Promise<object> {
  const routed = await publish(scene, event);
  if (Object.keys(routed).length === 0) return { status: 204, id: event.id, dropped: "no-subscribers" };
  return { status: 200, id: event.id, subscribers: subscribers(routed), topics: routed };
}

async function readJson(request: Request, settings: Settings): Promise<unknown> {
  checkDeclaredSize(request.headers, settings.maxBodyBytes);
  const text = await readText(request.body, settings.maxBodyBytes, settings.bodyTimeoutSeconds);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new InvalidInput("invalid-body", "The body is not JSON in UTF-8; send an object as /api/docs shows it.");
  }
}

function readEvent(value: unknown, settings: Settings, whole: string): Event {
  const fields = shape(value, FIELDS, whole);
  const { topics, event = null, retry = null } = fields;
  const id = text(fields, "id");
  const data = text(fields, "data");
  if (!Array.isArray(topics)) {
    throw new InvalidInput(
      "invalid-body",
      `The field 'topics' ${topics === undefined ? "is missing; send it" : "must be a list"}.`,
    );
  }
  const names = topics.map((topic: unknown) => {
    if (typeof topic !== "string") throw new InvalidInput("invalid-body", "The field 'topics' must hold strings.");
    // Commas separate and spaces surround the items of a header's list; in a JSON list they are bad characters.
    if (topic.includes(",") || topic.trim() !== topic) {
      throw new InvalidInput(
        "invalid-topic",
        "topics holds an item with a comma or a space; give each topic an item of its own.",
      );
    }
    return topic;
  });
  if (names.length === 0) throw new InvalidInput("invalid-topic", "topics is empty; name at least one topic.");
  if (event !== null && typeof event !== "string") {
    throw new InvalidInput("invalid-body", "The field 'event' must be a string.");
  }
  if (retry !== null && !(typeof retry === "number" && Number.isInteger(retry))) {
    throw new InvalidInput("invalid-body", "The field 'retry' must be a whole number.");
  }
  if (!data.isWellFormed()) throw new InvalidInput("invalid-body", "data holds a lone surrogate; send valid Unicode.");
  if (new TextEncoder().encode(data).byteLength > settings.maxEventBytes) {
    throw new Problem(413, "too-large", `data is over ${settings.maxEventBytes} bytes of UTF-8; send less.`);
  }
  return {
    topics: parseTopics(names, settings.maxTopics, "topics"),
    id: checkId(id, "id"),
    data,
    event: event === null ? null : checkEventType(event, "event"),
    // As digits, so that there is one rule for the header and for JSON.
    retry: retry === null ? null : checkRetry(String(retry), "retry"),
    time: rfc3339(Date.now()),
  };
}

function shape(value: unknown, known: readonly string[], whole: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidInput("invalid-body", `${whole} must be an object.`);
  }
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) {
      throw new InvalidInput("invalid-body", `The field '${name.slice(0, 64)}' is not known; leave it out.`);
    }
  }
  return value as Record<string, unknown>;
}

function text(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw new InvalidInput(
    "invalid-body",
    `The field '${name}' ${value === undefined ? "is missing; send it" : "must be a string"}.`,
  );
}
