// examples/clients/python/train.py: runs wherever a Python has its three packages.
import { join } from "node:path";
import { PROJECT_ROOT } from "../../projectRoot.ts";
import { pythonWith } from "../../python.ts";
import { programTrainer, type Trainer } from "./trainer.ts";

const FOLDER = join(PROJECT_ROOT, "examples", "clients", "python");
const ENV = { ORT_DISABLE_TELEMETRY: "1", PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: FOLDER };

export function pythonTrainer(): Trainer {
  const python = pythonWith("onnxruntime", "numpy", "PIL");
  return {
    language: "Python",
    missing: () => (python === undefined ? "no python3 with onnxruntime, numpy and pillow" : undefined),
    build: async () => {
      const draws = join(import.meta.dirname, "draws.py");
      return programTrainer([python ?? "", join(FOLDER, "train.py")], [python ?? "", draws], ENV);
    },
    hasTypedErrors: false,
  };
}
