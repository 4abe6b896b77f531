// Names of constants and when two of them are the same: small ones that nobody named stand for each other.
// Used by the builder, whose constants come from models, derivatives and lowerings alike.
import type { TensorData } from "./types.ts";

/** Elements up to which equal constants are found and shared, whatever they hold. */
const MAX_SHARED = 64;
/** Elements up to which a constant is named by its numbers. */
const MAX_NAMED = 4;

/** Ends the name of a long constant that holds one number (the ones of a normalisation). */
const THROUGHOUT = "...)";
/** Such a name, perhaps with a number behind it; an origin out of a file may hold anything. */
const NAMED_THROUGHOUT = /^const\/[^/]*\.\.\.\)(:\d+)?$/;

/**
 * The name of a constant that is given none: "const/int64[2](1;2)", "const/float32[784](1...)", or
 * "<origin>/const" for another long one.
 */
export function contentName({ dtype, shape, data }: TensorData, origin: string): string {
  const type = `const/${dtype}${shape.length ? `[${shape.join("x")}]` : ""}`;
  if (data.length <= MAX_NAMED) return `${type}(${Array.from(data).join(";")})`;
  const isLong = data.length > MAX_SHARED;
  return isLong && isOneNumber(data) ? `${type}(${keyOf(data[0] ?? 0)}${THROUGHOUT}` : `${origin}/const`;
}

/** Whether all elements are equal; a loop, since there may be millions. */
function isOneNumber(data: TensorData["data"]): boolean {
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], data[0])) return false;
  return true;
}

/** Whether `name` is one that contentName gave, with or without a number behind it. */
export function isUnnamedConstant(name: string): boolean {
  return /(^|\/)const($|[/:])/.test(name);
}

/**
 * Equal for constants of the same type and numbers; "" for one that is too large to be shared, unless its
 * name says that it holds one number.
 */
export function contentKey({ dtype, shape, data }: TensorData, name: string): string {
  if (data.length <= MAX_SHARED) return `${dtype}[${shape}]${Array.from(data, keyOf)}`;
  return NAMED_THROUGHOUT.test(name) ? `${dtype}[${shape}]${keyOf(data[0] ?? 0)}${THROUGHOUT}` : "";
}

function keyOf(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}
