import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineProject, defineConfig } from "vitest/config";

/** Tests that run with settings of their own, in a workerd of their own. */
function project(name: string, include: string[], settings: Record<string, string>) {
  return defineProject({
    plugins: [
      cloudflareTest({
        wrangler: { configPath: "./wrangler.jsonc" },
        miniflare: {
          bindings: {
            GATEWAY_API_KEYS: "key-one,key-two",
            GATEWAY_HISTORY: "kept/*=5/1h, many/*=1000/1h",
            ...settings,
          },
        },
      }),
    ],
    test: { name, include, testTimeout: 20_000 },
  });
}

export default defineConfig({
  test: {
    projects: [
      project("gateway", ["test/!(dedupe|parts).test.ts"], {
        // Small, so that a few sockets fill an object and the next ones go to its parts.
        GATEWAY_TOPIC_SOCKETS: "120",
      }),
      project("small", ["test/{dedupe,parts}.test.ts"], { GATEWAY_DEDUPE_SECONDS: "60", GATEWAY_TOPIC_SOCKETS: "2" }),
    ],
  },
});
