// Trains with artifacts in the training build of onnxruntime-web: BUILD is its script, FOLDER holds artifacts
// and plan.json (see runArtifacts.py). Prints the loss of each step, the evaluation's outputs, and all
// parameters one behind the other.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [build, folder] = process.argv.slice(2);
const ort = createRequire(import.meta.url)(build);
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
const read = (name) => new Uint8Array(readFileSync(join(folder, name)));
const json = (name) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const [manifest, plan] = [json("ort-training.json"), json("plan.json")];
const arrays = { uint8: Uint8Array, float32: Float32Array };

function fed(step, kind) {
  return Object.fromEntries(
    manifest.inputs[kind].map(({ name, dtype, shape }) => {
      const numbers = plan.steps[step][name];
      const data = dtype === "int64" ? BigInt64Array.from(numbers, BigInt) : arrays[dtype].from(numbers);
      return [
        name,
        new ort.Tensor(
          dtype,
          data,
          shape.map((size) => (size === "N" ? plan.rows : size)),
        ),
      ];
    }),
  );
}

const session = await ort.TrainingSession.create({
  checkpointState: read("checkpoint"),
  trainModel: read("training_model.onnx"),
  evalModel: read("eval_model.onnx"),
  optimizerModel: read("optimizer_model.onnx"),
});
const losses = [];
for (let step = 0; step < plan.steps.length; step++) {
  const given = await session.runTrainStep(fed(step, "training"));
  losses.push(given.loss.data[0]);
  await session.runOptimizerStep();
  await session.lazyResetGrad();
}
const evaluated = Object.keys(await session.runEvalStep(fed(0, "evaluation")));
const parameters = await session.getContiguousParameters(false);
process.stdout.write(JSON.stringify({ losses, evaluated, parameters: [...parameters.data] }));
