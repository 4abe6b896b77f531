// Numbers drawn from names, as test/fixtures/families/drawn_values.py states the rule and its reasons: so a
// fixture needs no weights.
import { hashName, philox4x32 } from "../../compiler/codec/philox.ts";

export type Purpose = "value" | "image" | "cotangent" | "direction 1" | "direction 2";

/** `count` numbers in [-1, 1) of the stream of `text` and `purpose`; each is exact in float32. */
export function drawUniform(text: string, purpose: Purpose, count: number): Float64Array {
  const numbers = new Float64Array(count);
  const words = new Uint32Array(4);
  const [name, kind] = [hashName(text), hashName(purpose)];
  for (let i = 0; i < count; i++) {
    if (i % 4 === 0) philox4x32(words, i / 4, name, kind, 0, 0, 0);
    numbers[i] = 2 * (words[i % 4]! >>> 8) * 2 ** -24 - 1;
  }
  return numbers;
}

/** The value of the tensor `name`, row-major. */
export function drawValue(name: string, shape: readonly number[]): Float32Array {
  const bound = Math.sqrt(6 / fanIn(name, shape));
  const place = (u: number): number => {
    if (/(running_var|moving_variance)$/.test(name)) return 1 + u / 2;
    if (/(running_mean|moving_mean)$/.test(name)) return u / 2;
    if (shape.length > 1) return u * bound;
    return /(weight|gamma)$/.test(name) ? 1 + u / 4 : u / 8;
  };
  return Float32Array.from(drawUniform(name, "value", elements(shape)), place);
}

function fanIn(name: string, shape: readonly number[]): number {
  if (!name.endsWith("kernel")) return elements(shape.slice(1));
  const isDepthwise = shape.length === 4 && shape[3] === 1;
  return elements(isDepthwise ? shape.slice(0, 2) : shape.slice(0, -1));
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Norm of an array and its products with the two directions of its name. */
export function measure(name: string, array: Float64Array): readonly [norm: number, number, number] {
  const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, each, i) => sum + each * b[i]!, 0);
  const along = (purpose: Purpose): number => dot(array, drawUniform(name, purpose, array.length));
  return [Math.sqrt(dot(array, array)), along("direction 1"), along("direction 2")];
}
