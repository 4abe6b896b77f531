// `npm run test:clients`: programs in all languages against the same files and pictures, built where their
// toolchains are. `npm test` tries those alone that need npm and nothing else.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/clients/**/*.test.ts"],
    env: { MTTC_CLIENTS: "1" },
    pool: "forks",
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
