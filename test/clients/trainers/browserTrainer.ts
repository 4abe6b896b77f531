// examples/clients/browser: the trainer of its page in Node, with onnxruntime-web's WASM. The page itself is
// looked at in Chromium by test/clients/trainPage.test.ts.
import { join } from "node:path";
import { PROJECT_ROOT } from "../../projectRoot.ts";
import { programTrainer, type Trainer } from "./trainer.ts";

const PROGRAM = join(PROJECT_ROOT, "examples", "clients", "browser", "trainNode.mjs");

export function browserTrainer(): Trainer {
  const draws = join(import.meta.dirname, "browserDraws.mjs");
  return {
    language: "JavaScript",
    missing: () => undefined,
    build: async () =>
      programTrainer([process.execPath, PROGRAM], [process.execPath, draws], { ORT_DISABLE_TELEMETRY: "1" }),
    hasTypedErrors: true,
  };
}
