// Imports and compiles a model in a process of its own, for resnet50.test.ts, and prints what that took. Runs
// from dist/, since Node does not run .ts files. Arguments: folder of resnet50.onnx, frozen|trained.
import { dataByName } from "../../compiler/codec/safetensors.ts";
import { compile } from "../../compiler/compile.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";

const [folder = "", form = ""] = process.argv.slice(2);
const classes = [{ task: "species", classes: ["a", "b", "c"] }];
const spec = resolveSpec({
  tasks: ["species"],
  fcn: { path: "resnet50.onnx", batchnorm: form === "trained" ? "train" : "frozen" },
  train_fcn: form === "trained",
  imshape: [224, 224],
  batch_size: 32,
  shared_layers: [64],
  task_layers: [],
});
/**
 * Milliseconds of work, which neighbours on a busy machine do not lengthen as they do the time that passes.
 */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const before = process.memoryUsage.rss();
const started = cpuMs();
const models = await readForeignModels(spec, folder, classes);
const imported = cpuMs();
const bundle = compile(spec, classes, models);
const finished = cpuMs();
process.stdout.write(
  JSON.stringify({
    importMs: imported - started,
    compileMs: finished - imported,
    // Linux counts the peak in KiB.
    growthBytes: process.resourceUsage().maxRSS * 1024 - before,
    bundleBytes: [...bundle.files.values(), ...dataByName(bundle.state).values()].reduce(
      (sum, { length }) => sum + length,
      0,
    ),
  }),
);
