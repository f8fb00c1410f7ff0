import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [
    cloudflareTest({
      wrangler: { configPath: "./wrangler.jsonc" },
      miniflare: {
        bindings: {
          GATEWAY_API_KEYS: "key-one,key-two",
          GATEWAY_HISTORY: "kept/*=5/1h",
          // Small, so that a few sockets fill an object and the next ones go to its parts.
          GATEWAY_TOPIC_SOCKETS: "120",
        },
      },
    }),
  ],
  test: { include: ["test/**/*.test.ts"], testTimeout: 20_000 },
});
