// The example of patchwork's MultiTaskTrainer (docs/multitask.md there), line by line with mttc; "was:"
// marks what differs. At small scale, so that it ends in half a minute: 200 emojis of 32x32 pixels. From
// the repository:
//   npm run example:patchwork            (-- --images 80 --epochs 1 makes it smaller still)
// To expect: after 10 epochs of 6 steps, accuracy on the held-out images of about 0.72 for group, where
// always answering the commonest gives 0.62 (without augmentation 0.79: so short a run has little use for
// it). skin_tone, of which the extractor knows nothing and val has 12 images, needs more of them
// (--images) and more epochs. spec.yml, beside this file, is the same experiment for the command line.
import { mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { augplot, MultiTaskTrainer, type SpecInput } from "../../runtime/mttc.ts";
import { prepareOpenmoji } from "../demo/rasterise.ts";

const { values: size } = parseArgs({
  options: { images: { type: "string", default: "200" }, epochs: { type: "string", default: "10" } },
});

// ---------- GET YOUR DATA TOGETHER ----------
// was: train_labels = pd.read_csv("train_labels.csv"). A CSV file is given by its path; rows in memory will
// do too: [{ filepath: "images/1F600.png", group: "smileys-emotion", skin_tone: null }, ...]
const data = await prepareOpenmoji("demo/patchwork", { size: 32, limit: Number(size.images) });
const train_labels = data.trainLabels;
const val_labels = data.valLabels;

// ---------- LOAD YOUR FEATURE EXTRACTOR ----------
// was: fcn = tf.keras.models.load_model("my_pretrained_extractor.h5"). The path will do.
// make_extractor.py, beside it, made this one with Keras: three convolutions that learned the groups of
// 3,642 emojis, none of them of those that are evaluated here. As in patchwork it stays as it is;
// train_fcn: true would train it.
const fcn = "examples/patchwork/my_pretrained_extractor.h5";

// ---------- CHOOSE AUGMENTATION PARAMETERS ----------
// The same names and numbers; at 32 pixels the blur reaches one pixel to each side.
const aug_params: SpecInput["augment"] = {
  gaussian_blur: 0.25,
  flip_left_right: true,
  flip_up_down: true,
  rot90: true,
  zoom_scale: 0.3,
};

// was: pw.viz.augplot(files, aug_params), a plot in the notebook
const images = "demo/patchwork/images";
const files = (await readdir(images)).slice(0, 4).map((name) => `${images}/${name}`);
await writeFile(
  "demo/patchwork/augment.png",
  await augplot(files, { augment: aug_params, imshape: [32, 32] }),
);

// train
const shared_layers: SpecInput["shared_layers"] = [512, "r"];
const task_layers: SpecInput["task_layers"] = [128, "p", "d", 256];
const tasks = ["group", "skin_tone"]; // column names in your label tables
// A folder of its own each time, so that the example can be run again at once; null would keep nothing.
await mkdir("demo/patchwork/runs", { recursive: true });
const logdir = await mkdtemp("demo/patchwork/runs/example-");
await using trainer = new MultiTaskTrainer({
  logdir,
  train_labels,
  val_labels,
  tasks,
  fcn,
  shared_layers,
  task_layers,
  task_weights: "adaptive",
  balance_probs: true,
  augment: aug_params,
  imshape: [32, 32], // was: (256,256)
  num_channels: 3,
  batch_size: 32, // was: 64
  num_parallel_calls: 6,
  notes: "initial multitask test",
  // was: a dictionary of paths and labels. A table will do: here of images that the extractor has not seen,
  // of which 29 are too few for more than a first look.
  downstream_labels: { table: val_labels, columns: ["group"] },
});

// was: TensorBoard showed how training went
trainer.on("epoch", ({ epoch, trainLoss, taskWeights, evaluation, scalars }) => {
  for (const task of tasks) {
    const report = evaluation?.tasks[task];
    const facts = {
      loss: trainLoss[task],
      weight: taskWeights[task],
      accuracy: Number(report?.accuracy),
      "always the commonest": Number(report?.majority),
    };
    const text = Object.entries(facts).map(([name, value]) => `${name} ${value?.toFixed(3)}`);
    console.log(`epoch ${epoch}  ${task}: ${text.join(", ")}`);
  }
  const probed = scalars?.["probe/accuracy/group"];
  if (probed !== undefined) console.log(`epoch ${epoch}  a linear probe of group: ${probed.toFixed(3)}`);
});

// was: fit(10), which takes these options as well: true after every epoch, a number after every so many;
// query_fig is how many of the nearest images are shown.
await trainer.fit(Number(size.epochs), {
  query_fig: 4,
  visualize_kernels: true,
  save_projections: 5,
  log_fcn: 5,
});
console.log(`pictures, vectors and the fcn: ${logdir}/probes`);
