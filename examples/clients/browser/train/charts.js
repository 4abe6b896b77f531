// @ts-check
// The curves of training: the mean loss of each task, and the share of right answers where a task has it.

/**
 * @typedef {import("./trainer.js").Figures} Figures
 * @typedef {import("./bundle.js").Task} Task
 * @typedef {{ steps: number, figures: Figures }} ShownStep
 * @typedef {{ name: string, colour: string, points: readonly (readonly [x: number, y: number])[] }} Line
 */

const COLOURS = 5;
const [WIDTH, HEIGHT] = [480, 240];
const EDGE = { left: 46, right: 8, top: 10, bottom: 24 };
const TICKS = 4;
const LEAST_SHOWN = 0.001;
/** Points of a line at most; steps beside each other share one. */
const MOST_POINTS = 200;

/**
 * Draws both charts anew.
 * @param {HTMLElement} place
 * @param {readonly ShownStep[]} steps
 * @param {readonly Task[]} tasks
 */
export function drawCharts(place, steps, tasks) {
  const lines = (/** @type {string} */ figure, /** @type {readonly Task[]} */ own) =>
    own.map(({ name }) => ({
      ...{ name, colour: `var(--curve-${(tasks.findIndex((task) => task.name === name) % COLOURS) + 1})` },
      points: pointsOf(steps, name, figure),
    }));
  const classes = tasks.filter(({ kind }) => kind === "classes");
  place.replaceChildren(
    chart("Mean loss of labelled photos", lines("loss_sum", tasks)),
    ...(classes.length > 0 ? [chart("Accuracy in training", lines("correct", classes), 1)] : []),
  );
}

/**
 * Means of a figure over runs of steps.
 * @param {readonly ShownStep[]} steps
 * @param {string} task
 * @param {string} figure
 */
function pointsOf(steps, task, figure) {
  const size = Math.max(1, Math.ceil(steps.length / MOST_POINTS));
  /** @type {(readonly [number, number])[]} */
  const points = [];
  for (let first = 0; first < steps.length; first += size) {
    let [sum, count] = [0, 0];
    const run = steps.slice(first, first + size);
    for (const { figures } of run) {
      sum += figures.get(task)?.[figure] ?? 0;
      count += figures.get(task)?.count ?? 0;
    }
    if (count > 0) points.push([run.at(-1)?.steps ?? 0, sum / count]);
  }
  return points;
}

/**
 * @param {string} title
 * @param {readonly Line[]} lines
 * @param {number} [most] of the figure, where it is known
 */
function chart(title, lines, most) {
  const all = lines.flatMap(({ points }) => points);
  const top = most ?? Math.max(...all.map(([, y]) => y), 1e-6) * 1.05;
  const [first, last] = [Math.min(...all.map(([x]) => x)), Math.max(...all.map(([x]) => x))];
  const x = (/** @type {number} */ at) =>
    EDGE.left + ((at - first) / Math.max(last - first, 1)) * (WIDTH - EDGE.left - EDGE.right);
  const y = (/** @type {number} */ at) =>
    HEIGHT - EDGE.bottom - (at / top) * (HEIGHT - EDGE.top - EDGE.bottom);
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  for (let i = 0; i <= TICKS; i++) {
    const value = (top * i) / TICKS;
    svg.append(
      node("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(value), y2: y(value) }),
      node("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, shortNumber(value)),
    );
  }
  if (all.length > 0)
    svg.append(
      node("text", { x: EDGE.left, y: HEIGHT - 6 }, `step ${first}`),
      node("text", { x: WIDTH - EDGE.right, y: HEIGHT - 6, "text-anchor": "end" }, `step ${last}`),
    );
  for (const { colour, points } of lines) {
    const way = points.map(
      ([at, value], i) => `${i === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`,
    );
    svg.append(node("path", { d: way.join(""), style: `stroke:${colour}` }));
  }
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = title;
  figure.append(caption, svg, legend(lines));
  return figure;
}

/** @param {readonly Line[]} lines */
function legend(lines) {
  const list = document.createElement("div");
  list.className = "legend";
  for (const { name, colour, points } of lines) {
    const key = document.createElement("span");
    key.style.setProperty("--curve", colour);
    key.textContent = `${name}: ${shortNumber(points.at(-1)?.[1] ?? Number.NaN)}`;
    list.append(key);
  }
  return list;
}

/** @param {number} value */
function shortNumber(value) {
  if (!Number.isFinite(value)) return "-";
  if (value > 0 && value < LEAST_SHOWN) return `<${LEAST_SHOWN}`;
  return Math.abs(value) >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}

/**
 * @param {string} name
 * @param {Readonly<Record<string, string | number>>} attributes
 * @param {string} [text]
 */
function node(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}
