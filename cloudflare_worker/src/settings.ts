/** The Worker's settings: every `GATEWAY_*` variable that makes sense here, typed, checked together, and read once. */

import type { Directory } from "./directory";
import { WrongSetting } from "./exceptions";
import { parseRules, type Rules } from "./history/rules";
import { LEVELS, setLevel, type Level } from "./logs";
import type { Topic } from "./topic";

/** What Wrangler binds: objects, assets, and the settings as text. */
export interface Env {
  TOPICS: DurableObjectNamespace<Topic>;
  DIRECTORY: DurableObjectNamespace<Directory>;
  ASSETS: Fetcher;
  /** Names the deployment; not there where none has been made. */
  VERSION?: WorkerVersionMetadata;
  [name: `GATEWAY_${string}`]: string | undefined;
}

export interface Settings {
  apiKeys: readonly string[];
  maxTopics: number;
  maxEventBytes: number;
  maxBodyBytes: number;
  outboxEvents: number;
  outboxBytes: number;
  slowReader: "disconnect" | "drop-oldest";
  heartbeatSeconds: number;
  retryMs: number;
  corsOrigins: readonly string[];
  adminCorsOrigins: readonly string[];
  maxConnections: number;
  maxConnectionsPerClient: number;
  metricsPublic: boolean;
  bodyTimeoutSeconds: number;
  history: Rules;
  dedupeSeconds: number;
  topicSockets: number;
  logLevel: Level;
}

const MIB = 1_048_576;

type Reader<T> = (name: string, value: string | undefined) => T;

const READERS: { [Name in keyof Settings]: Reader<Settings[Name]> } = {
  apiKeys: (name, value) => {
    const keys = list(value ?? "");
    if (keys.length === 0) throw new WrongSetting(`${name} is not set; set it with: wrangler secret put ${name}`);
    if (!keys.every((key) => /^[\x21-\x7e]+$/.test(key))) {
      throw new WrongSetting(`${name} has a wrong value: a key is visible ASCII characters.`);
    }
    return keys;
  },
  maxTopics: whole(100, 1, 1_000),
  // An object stores rows of at most 2 MB, and 1,000 topics of 255 characters are in it too.
  maxEventBytes: whole(MIB, 1, 1_700_000),
  maxBodyBytes: whole(16 * MIB, 1, 64 * MIB),
  outboxEvents: whole(256, 1),
  outboxBytes: whole(MIB, 1024),
  slowReader: (name, value = "disconnect") => {
    if (value !== "disconnect" && value !== "drop-oldest") {
      throw new WrongSetting(`${name} has a wrong value: it must be disconnect or drop-oldest.`);
    }
    return value;
  },
  heartbeatSeconds: number(15, 0.1, 3600),
  retryMs: whole(3000, 0, 86_400_000),
  corsOrigins: origins("*"),
  adminCorsOrigins: origins(""),
  maxConnections: whole(0, 0),
  maxConnectionsPerClient: whole(0, 0),
  metricsPublic: (name, value = "false") => {
    if (value !== "true" && value !== "false") {
      throw new WrongSetting(`${name} has a wrong value: it must be true or false.`);
    }
    return value === "true";
  },
  bodyTimeoutSeconds: number(30, 0.1, 3600),
  history: (name, value = "") => {
    try {
      return parseRules(value);
    } catch (error) {
      throw new WrongSetting(`${name} has a wrong value: ${(error as Error).message}.`);
    }
  },
  dedupeSeconds: number(0, 0, 86_400),
  topicSockets: whole(10_000, 1, 30_000),
  logLevel: (name, value = "info") => {
    const level = LEVELS.find((each) => each === value);
    if (level === undefined) throw new WrongSetting(`${name} has a wrong value: it must be ${LEVELS.join(", ")}.`);
    return level;
  },
};

/** The names of the variables, such as `GATEWAY_MAX_TOPICS`. */
export const NAMES: readonly string[] = Object.keys(READERS).map(nameOf);

let read: { env: Env; settings: Settings } | undefined;

/**
 * Return the settings.
 *
 * @throws WrongSetting The first that is wrong, or a `GATEWAY_*` name that is none of them.
 */
export function settingsOf(env: Env): Settings {
  if (read?.env === env) return read.settings;
  for (const name of Object.keys(env)) {
    if (name.startsWith("GATEWAY_") && !NAMES.includes(name)) {
      throw new WrongSetting(`${name} is not a setting of the Worker; see docs/reference/cloudflare.md for the names.`);
    }
  }
  const settings = Object.fromEntries(
    Object.entries(READERS).map(([field, reader]) => {
      const name = nameOf(field);
      return [field, (reader as Reader<unknown>)(name, (env as unknown as Record<string, string | undefined>)[name])];
    }),
  ) as unknown as Settings;
  read = { env, settings };
  setLevel(settings.logLevel);
  return settings;
}

function nameOf(field: string): string {
  return `GATEWAY_${field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function list(value: string): string[] {
  return value
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function number(fallback: number, least: number, most = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (name, value) => {
    if (value === undefined) return fallback;
    const parsed = /^\d{1,16}(\.\d{1,9})?$/.test(value) ? Number(value) : NaN;
    if (!(parsed >= least && parsed <= most)) {
      throw new WrongSetting(`${name} has a wrong value: it must be a number from ${least} to ${most}.`);
    }
    return parsed;
  };
}

function whole(fallback: number, least: number, most?: number): Reader<number> {
  const reader = number(fallback, least, most);
  return (name, value) => {
    const parsed = reader(name, value);
    if (!Number.isInteger(parsed)) throw new WrongSetting(`${name} has a wrong value: it must be a whole number.`);
    return parsed;
  };
}

function origins(fallback: string): Reader<string[]> {
  return (name, value = fallback) => {
    const items = list(value);
    for (const origin of items) {
      if (origin !== "*" && origin !== "null" && !/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(origin)) {
        throw new WrongSetting(
          `${name} holds what is no origin such as https://example.org (no path, no final slash).`,
        );
      }
    }
    return items;
  };
}
