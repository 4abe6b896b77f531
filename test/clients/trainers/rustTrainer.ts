// examples/clients/rust, the program `train`.
import { join } from "node:path";
import { ORT_LIBRARY, TRIES_TOOLCHAINS } from "../client.ts";
import { buildRust, missingCrates } from "../rustClient.ts";
import { programTrainer, type Trainer } from "./trainer.ts";

export const rustTrainer = (): Trainer => ({
  language: "Rust",
  missing: () => (TRIES_TOOLCHAINS ? missingCrates() : "npm run test:clients tries it"),
  build: async (cache) => {
    const program = join(await buildRust(cache), "train");
    const env = { ORT_DYLIB_PATH: ORT_LIBRARY, ORT_DISABLE_TELEMETRY: "1" };
    return programTrainer([program], [program, "--draws"], env);
  },
  hasTypedErrors: true,
});
