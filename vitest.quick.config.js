// `npm run test:quick`: the compiler alone, for the seconds between two edits. No ONNX Runtime, no image, no
// child process; what takes long there (chains of 25,000 nodes, planted faults) is left to `npm test`.
import { defineConfig } from "vitest/config";

const FOLDERS = ["ir", "autodiff", "passes", "spec", "codec", "golden", "lower", "model", "step", "tasks"];
const SLOW_OR_NATIVE = [
  ...[
    "ir/longChain",
    "lower/cudaForms",
    "lower/cudaKernels",
    "lower/ortGuards",
    "lower/blockedForms",
    "lower/forms",
  ],
  ...["step/classWeights", "step/equalities", "step/features", "step/mixedPrecision"],
  ...["step/referenceNumbers", "step/sobel", "tasks/toyKind"],
];

export default defineConfig({
  test: {
    include: [
      "test/architecture.test.ts",
      ...FOLDERS.map((folder) => `test/${folder}/**/*.test.ts`),
      "test/ops/{infer,maskedSoftmax,pinned,pinnedPieces,vjp}.test.ts",
    ],
    exclude: SLOW_OR_NATIVE.map((name) => `test/${name}.test.ts`),
    pool: "threads",
    isolate: false,
    maxWorkers: 2,
    testTimeout: 120_000,
  },
});
