import { readFileSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const { version } = JSON.parse(readFileSync(here("package.json"), "utf8")) as { version: string };
const gateway = process.env["GATEWAY_URL"] ?? "http://127.0.0.1:8000";

/** Puts a gzip and a Brotli copy beside each file, so that no server has to compress while it serves. */
function compressed(): Plugin {
  let directory = "";
  return {
    name: "compressed-copies",
    apply: "build",
    configResolved(config) {
      directory = path.resolve(config.root, config.build.outDir);
    },
    async closeBundle() {
      for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(css|html|js|svg)$/.test(entry.name)) continue;
        const file = path.join(entry.parentPath, entry.name);
        const content = await readFile(file);
        await writeFile(`${file}.gz`, gzipSync(content, { level: 9 }));
        await writeFile(`${file}.br`, brotliCompressSync(content));
      }
    },
  };
}

export default defineConfig({
  // Django and the Cloudflare Worker both serve the build at this path.
  base: "/dashboard/",
  plugins: [react(), tailwindcss(), compressed()],
  define: { __VERSION__: JSON.stringify(version) },
  resolve: {
    alias: {
      "@": here("src"),
      // The original writes a <style> element, which the Content-Security-Policy forbids.
      "react-remove-scroll": here("src/shared/scroll-lock.tsx"),
    },
  },
  build: {
    outDir: here("../dashboard/static/dashboard"),
    emptyOutDir: true,
    target: ["chrome123", "edge123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    // One file on purpose: a page that stays open works on after the gateway got another build.
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": { target: gateway, changeOrigin: true } },
  },
  test: {
    environment: "jsdom",
    setupFiles: ["src/test/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}"],
    testTimeout: 30_000,
    restoreMocks: true,
    unstubGlobals: true,
    maxWorkers: 2,
  },
});
