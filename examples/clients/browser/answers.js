// @ts-check
// From the numbers that a model gives for an image to answers, as `mttc predict` has them.
import { ClientError } from "./errors.js";

/**
 * @typedef {import("./metadata.js").Task} Task
 *
 * @typedef {object} Answer
 * @property {string} task
 * @property {Task["kind"]} kind
 * @property {string | string[] | number[]} answer the class, the tags, or the numbers
 * @property {number[]} numbers the model's output for the image
 * @property {true} [unsure] where the class is better left open
 * @property {number[]} [within] how far the truth lies from each number at most, nine times of ten
 */

/** Probabilities, and their sum, may be off by what float16 and other providers round. */
const SLACK = 0.01;
/** From which on a tag is answered, where the file does not say it. */
const THRESHOLD = 0.5;

/**
 * The answer that a task's numbers give. E_MODEL_META where they cannot be what the task promises:
 * not finite, or no probabilities.
 * @param {Task} task
 * @param {ArrayLike<number>} output float32 [names.length]
 * @returns {Answer}
 */
export function answerOf(task, output) {
  const numbers = Array.from(output);
  const { name, kind, names } = task;
  if (numbers.length !== names.length)
    throw refusal(task, `${numbers.length} numbers in place of ${names.length}`);
  if (!numbers.every(Number.isFinite)) throw refusal(task, "numbers that are not finite");
  if (kind === "number")
    return { task: name, kind, answer: numbers, numbers, ...(task.radius ? { within: task.radius } : {}) };
  if (!numbers.every((value) => value >= -SLACK && value <= 1 + SLACK))
    throw refusal(task, "numbers that are no probabilities");
  if (kind === "tags") return { task: name, kind, answer: tagsOf(task, numbers), numbers };
  const sum = numbers.reduce((total, value) => total + value, 0);
  if (Math.abs(sum - 1) > SLACK) throw refusal(task, `probabilities that sum to ${sum}`);
  const best = numbers.reduce((top, value, i) => (value > (numbers[top] ?? 0) ? i : top), 0);
  const sure = numbers[best] ?? 0;
  const isUnsure = sure < (task.unsureBelow ?? 0);
  return { task: name, kind, answer: names[best] ?? "", numbers, ...(isUnsure ? { unsure: true } : {}) };
}

/**
 * Tags at or over their thresholds, the most probable first.
 * @param {Task} task
 * @param {readonly number[]} numbers
 */
function tagsOf({ names, thresholds }, numbers) {
  return names
    .map((name, i) => ({ name, value: numbers[i] ?? 0, threshold: thresholds?.[i] ?? THRESHOLD }))
    .filter(({ value, threshold }) => value >= threshold)
    .sort((a, b) => b.value - a.value)
    .map(({ name }) => name);
}

/**
 * @param {Task} task
 * @param {string} what
 */
function refusal({ name }, what) {
  return new ClientError("E_MODEL_META", `the model gives ${what} for task ${JSON.stringify(name)}`);
}
