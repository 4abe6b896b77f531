// @ts-check
// The page that trains: what a person chooses goes to the worker, and what it says is shown.
import { ClientError } from "./errors.js";
import { drawCharts } from "./train/charts.js";
import { droppedFiles } from "./train/dropped.js";

/**
 * @typedef {import("./train/photos.js").ChosenFile} ChosenFile
 * @typedef {import("./train/trainer.js").Figures} Figures
 * @typedef {{ steps: number, end: number, figures: Figures, rate: number }} Step
 * @typedef {{ tasks: import("./train/bundle.js").Task[], batchSize: number, epochs: number, size: string,
 *   parameters: number, hasTrunk: boolean }} BundleFacts
 * @typedef {{ rows: number, stepsPerEpoch: number, file: string, leftOut: number,
 *   faults: { path: string, message: string }[] }} PhotoFacts
 */

const MOST_THREADS = 4;
const SAVED = "trained.safetensors";
/** Milliseconds between two pictures of the curves. */
const DRAW_MS = 100;

/** @param {string} id */
function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no ${id}`);
  return element;
}
const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id));
const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (byId(id));
const bar = (/** @type {string} */ id) => /** @type {HTMLProgressElement} */ (byId(id));

const worker = new Worker("trainWorker.js", { type: "module" });
/**
 * What the page knows; `steps` are those since training began.
 * @type {{ bundle?: BundleFacts, photos?: PhotoFacts, steps: Step[], isBusy: boolean, drawnAt: number,
 *   answer?: (said: any) => void }}
 */
const page = { steps: [], isBusy: false, drawnAt: 0 };

worker.addEventListener("message", ({ data }) => {
  if (data.progress) showReading(data.progress);
  else if (data.features) showFeatures(data.features);
  else if (data.step) showStep(data.step);
  else if (data.note !== undefined) byId("provider-note").textContent = data.note;
  else page.answer?.(data);
});
worker.addEventListener("error", (event) => {
  page.answer?.({ fault: { code: "E_ORT", message: event.message || "the worker could not be started" } });
});

/** Asks the worker. @param {string} action @param {unknown} [value] @returns {Promise<any>} */
async function ask(action, value) {
  page.isBusy = true;
  showButtons();
  /** @type {any} */
  const said = await new Promise((resolve) => {
    page.answer = resolve;
    worker.postMessage({ action, value });
  });
  page.isBusy = false;
  if (said.fault) throw new ClientError(said.fault.code, said.fault.message);
  return said.result;
}

/** Does `work`, and shows what goes wrong. @param {() => Promise<void>} work */
async function guarded(work) {
  if (page.isBusy) return;
  byId("faults").replaceChildren();
  try {
    await work();
  } catch (error) {
    const [code, message] =
      error instanceof ClientError ? [error.code, error.message] : ["E_ORT", String(error)];
    const line = document.createElement("p");
    line.className = "fault";
    const name = document.createElement("code");
    name.textContent = code;
    line.append(name, ` ${message}`);
    byId("faults").append(line);
  }
  showButtons();
}

/** @param {readonly ChosenFile[]} files */
async function openBundle(files) {
  forget();
  delete page.bundle;
  byId("bundle-facts").replaceChildren();
  byId("bundle-name").textContent = "Reading ...";
  try {
    page.bundle = /** @type {BundleFacts} */ (await ask("bundle", files));
  } catch (error) {
    byId("bundle-name").textContent = "That is no bundle that can be trained here.";
    throw error;
  }
  const { tasks, batchSize, epochs, size, parameters, hasTrunk } = page.bundle;
  byId("bundle-name").textContent = `${files[0]?.path.split("/")[0] ?? "The bundle"}: ready.`;
  showFacts("bundle-facts", [
    ...tasks.map(({ name, kind, classes, tags }) => [name, (classes ?? tags)?.join(", ") ?? kind]),
    ["images", `${size}, ${batchSize} in a step`],
    [
      "trained",
      `${parameters.toLocaleString("en")} numbers${hasTrunk ? ", on a frozen trunk's features" : ""}`,
    ],
  ]);
  input("epochs").value = String(epochs);
}

/** @param {readonly ChosenFile[]} files */
async function openPhotos(files) {
  if (page.bundle === undefined) throw new ClientError("E_USAGE", "the bundle comes first, then the photos");
  forget();
  byId("photos-name").textContent = "Reading ...";
  try {
    page.photos = /** @type {PhotoFacts} */ (await ask("photos", files));
  } catch (error) {
    byId("photos-name").textContent = "No photos that can be trained on.";
    throw error;
  } finally {
    bar("reading").hidden = true;
  }
  const { rows, stepsPerEpoch, file, leftOut, faults } = page.photos;
  byId("photos-name").textContent = `${rows} labelled photos, by ${file}.`;
  showFacts("photos-facts", [["an epoch", `${stepsPerEpoch} ${stepsPerEpoch === 1 ? "step" : "steps"}`]]);
  if (leftOut === 0) return;
  const list = document.createElement("ul");
  for (const { path, message } of faults) {
    const item = document.createElement("li");
    item.textContent = `${path}: ${message}`;
    list.append(item);
  }
  const what =
    leftOut === 1
      ? "1 photo cannot be read and is left out"
      : `${leftOut} photos cannot be read and are left out`;
  byId("left-out").append(`${what}; take the rows out of the table, too, before mttc adopt:`, list);
}

/** Photos and curves of before. */
function forget() {
  delete page.photos;
  page.steps = [];
  for (const id of ["photos-facts", "left-out", "charts", "next", "provider-note"])
    byId(id).replaceChildren();
  byId("photos-name").textContent =
    "Choose or drop a folder: photos with their CSV table, or a folder of photos per class.";
  byId("status").textContent = "Nothing is trained yet.";
  bar("progress").value = 0;
}

async function train() {
  const epochs = Number(input("epochs").value);
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new ClientError("E_USAGE", "epochs: expected a whole number from 1 on");
  const chosen = /** @type {HTMLInputElement | null} */ (
    document.querySelector("input[name=provider]:checked")
  );
  const provider = chosen?.value === "webgpu" ? "webgpu" : "wasm";
  if (provider === "webgpu" && !("gpu" in navigator))
    throw new ClientError("E_USAGE", "this browser has no WebGPU: choose WASM");
  const cores = Math.max(1, Math.min(MOST_THREADS, navigator.hardwareConcurrency ?? 1));
  byId("status").textContent = "Opening the graphs ...";
  button("stop").focus();
  const result = await ask("train", {
    ...{ epochs, provider, threads: crossOriginIsolated ? cores : 1 },
    runtime: new URL("ort/", document.baseURI).href,
  });
  drawCharts(byId("charts"), page.steps, need(page.bundle).tasks);
  const last = page.steps.at(-1);
  const done = `${result.isStopped ? "Stopped" : "Finished"}: ${result.steps} steps`;
  byId("status").textContent = last
    ? `${done}, ${rateText(last.rate)}.`
    : `${done} are done already: more epochs train on.`;
  byId("next").textContent =
    `Saved, it becomes a run: mttc adopt spec.yml ${SAVED}, then mttc train, evaluate and export go on.`;
}

/** Offers the state as a file. */
async function save() {
  const bytes = await ask("save");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = SAVED;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {{ done: number, total: number }} progress */
function showReading({ done, total }) {
  Object.assign(bar("reading"), { hidden: false, max: total, value: done });
  byId("photos-name").textContent = `Reading photos: ${done} of ${total}`;
}

/** @param {{ done: number, total: number }} progress */
function showFeatures({ done, total }) {
  byId("status").textContent = `The trunk's features, computed once: ${done} of ${total} photos`;
  Object.assign(bar("progress"), { max: total, value: done });
}

/** @param {Step} step */
function showStep(step) {
  page.steps.push(step);
  const { steps, end, rate } = step;
  Object.assign(bar("progress"), { max: end, value: steps });
  const epoch = Math.floor((steps - 1) / need(page.photos).stepsPerEpoch) + 1;
  byId("status").textContent = `Epoch ${epoch}, step ${steps} of ${end}, ${rateText(rate)}`;
  if (performance.now() - page.drawnAt < DRAW_MS) return;
  page.drawnAt = performance.now();
  drawCharts(byId("charts"), page.steps, need(page.bundle).tasks);
}

/** @param {number} rate */
function rateText(rate) {
  return `${rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en")} photos a second`;
}

/** @param {string} id @param {readonly (readonly (string | undefined)[])[]} facts */
function showFacts(id, facts) {
  byId(id).replaceChildren(
    ...facts.flatMap(([name = "", text = ""]) => {
      const [term, about] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      about.textContent = text;
      return [term, about];
    }),
  );
}

function showButtons() {
  const isReady = page.bundle !== undefined && page.photos !== undefined && !page.isBusy;
  button("start").disabled = !isReady;
  button("start").textContent = page.steps.length > 0 ? "Train on" : "Start";
  button("stop").disabled = !page.isBusy || page.photos === undefined;
  button("save").disabled = page.isBusy || page.steps.length === 0;
  input("bundle-files").disabled = page.isBusy;
  input("photo-files").disabled = page.isBusy || page.bundle === undefined;
  for (const id of ["wasm", "webgpu"]) input(id).disabled = page.isBusy || page.steps.length > 0;
}

/** @template T @param {T | undefined} value @returns {T} */
function need(value) {
  if (value === undefined) throw new Error("the page is not that far");
  return value;
}

/** Files that an input gives, with their folders. @param {HTMLInputElement} from @returns {ChosenFile[]} */
function chosenFiles(from) {
  return [...(from.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

for (const [id, head, open] of /** @type {const} */ ([
  ["bundle-files", "bundle-head", openBundle],
  ["photo-files", "photos-head", openPhotos],
])) {
  const chooser = input(id);
  chooser.addEventListener("change", () => {
    const files = chosenFiles(chooser);
    // The same folder may be chosen again.
    chooser.value = "";
    if (files.length > 0) void guarded(() => open(files));
  });
  const panel = byId(head).closest("section");
  panel?.addEventListener("dragover", (event) => {
    event.preventDefault();
    panel.classList.add("over");
  });
  panel?.addEventListener("dragleave", () => panel.classList.remove("over"));
  panel?.addEventListener("drop", (event) => {
    event.preventDefault();
    panel.classList.remove("over");
    const transfer = event.dataTransfer;
    if (transfer) void guarded(async () => await open(await droppedFiles(transfer)));
  });
}
button("start").addEventListener("click", () => guarded(train));
button("save").addEventListener("click", () => guarded(save));
button("stop").addEventListener("click", () => worker.postMessage({ action: "stop" }));
