// @ts-check
// Answers as elements of the page. Names come from files that anybody may have made: they are only ever
// texts.
import { drawHeatMap } from "./heatmap.js";

/**
 * @typedef {import("./answers.js").Answer} Answer
 * @typedef {import("./metadata.js").Metadata} Metadata
 * @typedef {import("./metadata.js").Task} Task
 * @typedef {import("./model.js").HeatMap} HeatMap
 * @typedef {import("./model.js").Prediction} Prediction
 */

/** Bars that are shown at once. */
const MOST_BARS = 6;
/** Bars that are listed at all. */
const MOST_LISTED = 200;

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Partial<HTMLElementTagNameMap[Name]> & { className?: string }} [properties]
 * @param {...(Node | string)} children
 */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A fault as a paragraph: its code, and what is wrong. @param {unknown} error */
export function faultElement(error) {
  const { code = "E_ORT", message = String(error) } = /** @type {{ code?: string, message?: string }} */ (
    error
  );
  return element("p", { className: "fault" }, element("code", {}, code), ` ${message}`);
}

/**
 * What the file says of itself, as terms and descriptions.
 * @param {Metadata} metadata
 */
export function modelFacts({ tasks, preprocessing, origin }) {
  const { height, width, greyscale, anySize } = preprocessing;
  const size = `${anySize ? "any size, resized by the model to " : ""}${height} x ${width}`;
  const from = [
    origin.run === undefined ? "" : `run ${origin.run}`,
    origin.epoch === undefined ? "" : `epoch ${origin.epoch}`,
    origin.mttc === undefined ? "" : `mttc ${origin.mttc}`,
  ].filter(Boolean);
  const facts = [
    ["Tasks", tasks.map(taskText).join("; ")],
    ["Images", `${size}${greyscale ? ", grey" : ""}`],
    ["From", from.join(", ")],
  ];
  return facts
    .filter(([, text]) => text)
    .flatMap(([term = "", text = ""]) => [element("dt", {}, term), element("dd", {}, text)]);
}

/** @param {Task} task */
function taskText({ name, kind, names }) {
  if (kind === "number")
    return names.length === 1 ? `${name} (a number)` : `${name} (${names.length} numbers)`;
  return `${name} (${names.length} ${kind})`;
}

/**
 * The answers of all tasks; `onMap` is called with the heat map that is to be seen, or none.
 * @param {Metadata} metadata
 * @param {Prediction} prediction
 * @param {(map: HeatMap | undefined) => void} onMap
 */
export function answerElements({ tasks }, { answers, heatmaps }, onMap) {
  /** @type {HTMLButtonElement[]} */
  const buttons = [];
  return tasks.flatMap((task, i) => {
    const answer = answers[i];
    const map = heatmaps.find((drawn) => drawn.task === task.name);
    if (!answer) return [];
    const head = element("div", { className: "task-head" }, element("h4", {}, task.name));
    if (map) head.append(mapButton(task, map, buttons, onMap));
    return [element("section", { className: "task" }, head, ...contentOf(task, answer))];
  });
}

/**
 * @param {Task} task
 * @param {HeatMap} map
 * @param {HTMLButtonElement[]} buttons of all tasks, of which one at most is pressed
 * @param {(map: HeatMap | undefined) => void} onMap
 */
function mapButton(task, map, buttons, onMap) {
  const button = element("button", { type: "button", ariaPressed: "false" }, "Heat map");
  button.title = `Shows from where in the photo the answer to ${task.name} comes`;
  button.addEventListener("click", () => {
    const isOn = button.ariaPressed !== "true";
    for (const other of buttons) other.ariaPressed = String(isOn && other === button);
    onMap(isOn ? map : undefined);
  });
  buttons.push(button);
  return button;
}

/**
 * @param {Task} task
 * @param {Answer} answer
 */
function contentOf(task, answer) {
  if (task.kind === "number") return [numberTable(task, answer)];
  return task.kind === "tags" ? tagContent(task, answer) : classContent(task, answer);
}

/** @param {Task} task @param {Answer} answer */
function classContent(task, { answer, numbers, unsure }) {
  const sure = Math.max(
    ...numbers.slice(0, 1),
    ...ordered(numbers)
      .slice(0, 1)
      .map((i) => numbers[i] ?? 0),
  );
  const line = element("p", { className: "answer" }, String(answer));
  const parts = [line];
  if (unsure) {
    line.classList.add("open");
    line.append(" ", element("span", { className: "badge" }, "unsure"));
    const least = percent(task.unsureBelow ?? 0);
    parts.push(
      element(
        "p",
        { className: "note" },
        `${percent(sure)} is below the ${least} from which on this model answers.`,
      ),
    );
  }
  const rows = ordered(numbers).map((i, place) =>
    barRow(task.names[i] ?? "", numbers[i] ?? 0, { isGiven: place === 0 && !unsure }),
  );
  return [...parts, ...barLists(rows)];
}

/** @param {Task} task @param {Answer} answer */
function tagContent(task, { answer, numbers }) {
  const given = /** @type {string[]} */ (answer);
  const line = element(
    "p",
    { className: "answer" },
    ...(given.length
      ? given.flatMap((tag) => [element("span", { className: "tag" }, tag), " "])
      : ["no tag"]),
  );
  const rows = ordered(numbers).map((i) => {
    const name = task.names[i] ?? "";
    return barRow(name, numbers[i] ?? 0, {
      isGiven: given.includes(name),
      threshold: task.thresholds?.[i] ?? 0.5,
    });
  });
  return [line, ...barLists(rows)];
}

/** @param {Task} task @param {Answer} answer */
function numberTable({ names }, { numbers, within }) {
  const rows = names.map((name, i) => {
    const value = element("strong", {}, short(numbers[i] ?? 0));
    const radius = within?.[i];
    const cell = element("dd", {}, value, radius === undefined ? "" : ` ± ${Number(radius.toPrecision(3))}`);
    return names.length === 1 ? [cell] : [element("dt", {}, name), cell];
  });
  return element("dl", { className: "numbers" }, ...rows.flat());
}

/** Places of numbers, the largest first. @param {readonly number[]} numbers */
function ordered(numbers) {
  return numbers.map((_, i) => i).sort((a, b) => (numbers[b] ?? 0) - (numbers[a] ?? 0));
}

/**
 * The first bars, and the others behind a line that opens them.
 * @param {readonly HTMLElement[]} rows
 */
function barLists(rows) {
  const list = element("ol", { className: "bars" }, ...rows.slice(0, MOST_BARS));
  if (rows.length <= MOST_BARS) return [list];
  const rest = rows.slice(MOST_BARS, MOST_LISTED);
  const left = rows.length - MOST_BARS;
  const text = rest.length < left ? `the next ${rest.length} of ${left} more` : `${left} more`;
  const more = element(
    "details",
    {},
    element("summary", {}, text),
    element("ol", { className: "bars" }, ...rest),
  );
  return [list, more];
}

/**
 * @param {string} name
 * @param {number} share
 * @param {{ isGiven: boolean, threshold?: number }} how
 */
function barRow(name, share, { isGiven, threshold }) {
  const bar = element("span", { className: "bar", ariaHidden: "true" }, element("i"));
  bar.style.setProperty("--share", String(Math.min(1, Math.max(0, share))));
  if (threshold !== undefined) {
    bar.append(element("b", { title: `answered from ${percent(threshold)} on` }));
    bar.style.setProperty("--threshold", String(threshold));
  }
  const label = element("span", { className: "name", title: name }, name);
  return element(
    "li",
    { className: isGiven ? "given" : "" },
    label,
    bar,
    element("span", { className: "percent" }, percent(share)),
  );
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** @param {number} value */
function short(value) {
  return String(Number(value.toPrecision(6)));
}

/** A photo with room for a heat map over it. @param {File} file */
export function photoElement(file) {
  const address = URL.createObjectURL(file);
  const image = element("img", { src: address, alt: `Photo ${file.name}` });
  const canvas = element("canvas", { hidden: true });
  canvas.setAttribute("role", "img");
  const figure = element(
    "figure",
    { className: "photo" },
    element("div", { className: "frame" }, image, canvas),
  );
  image.addEventListener("error", () =>
    figure.replaceChildren(element("p", {}, "This file cannot be shown.")),
  );
  return {
    figure,
    /** @param {HeatMap | undefined} map */
    show: (map) => {
      canvas.hidden = map === undefined;
      if (!map) return;
      canvas.setAttribute("aria-label", `Heat map of ${map.task}: light where the answer comes from`);
      drawHeatMap(canvas, map);
    },
    free: () => URL.revokeObjectURL(address),
  };
}
