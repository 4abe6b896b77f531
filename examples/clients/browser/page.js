// @ts-check
// The page: photos and models that are dropped, chosen or pasted, and what is said of them.
import { ClientError } from "./errors.js";
import { Model, whyNoWebgpu } from "./model.js";
import { answerElements, element, faultElement, modelFacts, photoElement } from "./view.js";

/**
 * @typedef {import("./model.js").Provider} Provider
 *
 * @typedef {object} Card a photo and its answers
 * @property {File} file
 * @property {HTMLElement} card
 * @property {HTMLElement} answers
 * @property {ReturnType<typeof photoElement>} photo
 */

const MOST_MODEL_BYTES = 2 ** 31 - 1;

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));

/**
 * @typedef {{ name: string, bytes: ArrayBuffer }} Source
 *
 * @type {{ model?: Model, source?: Source, cards: Card[], work: Promise<void>, missing?: string }}
 */
const state = { cards: [], work: Promise.resolve() };

/**
 * One thing after the other: a model that opens while photos are read would answer for some of them.
 * @param {() => Promise<void>} job
 */
function enqueue(job) {
  state.work = state.work.then(job).catch((error) => at("faults").replaceChildren(faultElement(error)));
}

/** @returns {Provider} */
const wantedProvider = () => (input("webgpu").checked ? "webgpu" : "wasm");

/**
 * Opens a model in place of the one before, which stays where this one is refused.
 * @param {string} name
 * @param {() => Promise<ArrayBuffer>} load
 */
async function openModel(name, load) {
  at("faults").replaceChildren();
  say(`Opening ${name} ...`);
  try {
    const bytes = await load();
    const model = await Model.open(bytes, { provider: wantedProvider() });
    state.model?.close();
    state.model = model;
    state.source = { name, bytes };
    at("model-name").replaceChildren(element("strong", {}, name));
    at("model-facts").replaceChildren(...modelFacts(model.metadata));
    input(model.provider).checked = true;
    tellProvider(model.note);
    say("");
  } catch (error) {
    say("");
    at("faults").replaceChildren(element("p", {}, `${name} is not opened:`), faultElement(error));
    return;
  }
  for (const card of state.cards) await answer(card);
}

/** @param {Card} card */
async function answer({ file, answers, photo }) {
  photo.show(undefined);
  if (!state.model) {
    answers.replaceChildren(element("p", { className: "note" }, "Waits for a model."));
    return;
  }
  const { model } = state;
  answers.ariaBusy = "true";
  say(`Looking at ${file.name} ...`);
  try {
    const prediction = await model.predict(file);
    answers.replaceChildren(
      ...answerElements(model.metadata, prediction, photo.show),
      element(
        "p",
        { className: "note" },
        `${prediction.milliseconds.toFixed(0)} ms by ${providerText(model.provider)}`,
      ),
    );
  } catch (error) {
    answers.replaceChildren(faultElement(error));
  }
  answers.ariaBusy = "false";
  say("");
}

/** Why WebGPU does not compute, where it does not. @param {string} [why] */
function tellProvider(why = state.missing) {
  at("provider-note").textContent = why === undefined ? "" : `${why}: WASM computes.`;
}

/** @param {Provider} provider */
function providerText(provider) {
  return provider === "webgpu" ? "WebGPU" : "WASM";
}

/** @param {string} text */
function say(text) {
  at("status").textContent = text;
}

/** @param {File} file */
async function addPhoto(file) {
  const photo = photoElement(file);
  const answers = element("div", { className: "answers" });
  const remove = element(
    "button",
    { type: "button", className: "quiet", ariaLabel: `Remove ${file.name}` },
    "Remove",
  );
  const head = element(
    "div",
    { className: "card-head" },
    element("h3", { title: file.name }, file.name),
    remove,
  );
  const card = {
    file,
    photo,
    answers,
    card: element(
      "article",
      { className: "card" },
      photo.figure,
      element("div", { className: "said" }, head, answers),
    ),
  };
  remove.addEventListener("click", () => {
    photo.free();
    card.card.remove();
    state.cards = state.cards.filter((other) => other !== card);
    input("photo-files").focus();
  });
  state.cards.unshift(card);
  at("cards").prepend(card.card);
  await answer(card);
}

/** Models by their names, photos all others. @param {Iterable<File>} files */
function take(files) {
  for (const file of files)
    if (file.name.toLowerCase().endsWith(".onnx")) takeModel(file);
    else enqueue(() => addPhoto(file));
}

/** @param {File} file */
function takeModel(file) {
  enqueue(() =>
    openModel(file.name, async () => {
      if (file.size > MOST_MODEL_BYTES) throw new ClientError("E_MODEL_PARSE", "no model is over 2 GiB");
      return await file.arrayBuffer();
    }),
  );
}

/** Loads `?model=`. @param {string} address */
async function download(address) {
  const response = await fetch(address).catch((cause) => {
    throw new ClientError("E_FILE", `${address} cannot be loaded: ${cause.message}`, cause);
  });
  if (!response.ok)
    throw new ClientError("E_FILE", `${address} cannot be loaded: ${response.status} ${response.statusText}`);
  return await response.arrayBuffer();
}

function listen() {
  const drop = at("drop");
  for (const id of ["model-file", "photo-files"])
    input(id).addEventListener("change", () => {
      const files = [...(input(id).files ?? [])];
      // The same file may be chosen again.
      input(id).value = "";
      if (id === "model-file") for (const file of files) takeModel(file);
      else take(files);
    });
  document.addEventListener("paste", (event) => take(event.clipboardData?.files ?? []));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  for (const type of ["dragleave", "drop", "dragend"])
    document.addEventListener(type, () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer?.files ?? []);
  });
  for (const id of ["wasm", "webgpu"])
    input(id).addEventListener("change", () => {
      const { source } = state;
      if (source) enqueue(() => openModel(source.name, async () => source.bytes));
    });
}

listen();
const missing = await whyNoWebgpu();
if (missing !== undefined) Object.assign(state, { missing });
tellProvider();
input("webgpu").disabled = missing !== undefined;
const asked = new URLSearchParams(location.search).get("model");
if (asked) enqueue(() => openModel(asked.split("/").at(-1) ?? asked, () => download(asked)));
