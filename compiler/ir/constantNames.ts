// Names of constants and when two of them are the same: small ones that nobody named stand for each other.
// Used by the builder, whose constants come from models, derivatives and lowerings alike.
import type { TensorData } from "./types.ts";

/** Elements up to which equal constants are found and shared. */
const MAX_SHARED = 64;
/** Elements up to which a constant is named by its numbers. */
const MAX_NAMED = 4;

/** The name of a constant that is given none: "const/int64[2](1;2)", or "<origin>/const" for a longer one. */
export function contentName({ dtype, shape, data }: TensorData, origin: string): string {
  if (data.length > MAX_NAMED) return `${origin}/const`;
  return `const/${dtype}${shape.length ? `[${shape.join("x")}]` : ""}(${Array.from(data).join(";")})`;
}

/** Whether `name` is one that contentName gave, with or without a number behind it. */
export function isUnnamedConstant(name: string): boolean {
  return /(^|\/)const($|[/:])/.test(name);
}

/** Equal for constants of the same type and numbers; "" for one that is too large to be shared. */
export function contentKey({ dtype, shape, data }: TensorData): string {
  return data.length <= MAX_SHARED ? `${dtype}[${shape}]${Array.from(data, keyOf)}` : "";
}

function keyOf(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}
