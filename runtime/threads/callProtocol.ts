// What the main thread and a worker thread say to each other: the calls of a service as request and reply
// messages, each tagged with the number of its call, so that replies may come in any order.
import type { PackedError } from "./faultTransfer.ts";

/** A service by its calls, of which `close` is the last. */
export type Service<S> = { readonly [M in keyof S]: (...args: never[]) => unknown } & {
  readonly close: () => unknown;
};

/** Names of a service's calls. */
export type Method<S> = keyof S & string;

/** What a call takes and what comes of it in the end. */
export type Arguments<S extends Service<S>, M extends Method<S>> = Parameters<S[M]>;
export type Result<S extends Service<S>, M extends Method<S>> = Awaited<ReturnType<S[M]>>;

/** One call. */
export interface Request {
  readonly call: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** What became of a call. */
export type Reply =
  | { readonly call: number; readonly value: unknown }
  | { readonly call: number; readonly error: PackedError };

/**
 * Every buffer behind the typed arrays in `value` that can be transferred, each once, in order of appearance.
 */
export function transferableBuffers(value: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const visit = (item: unknown): void => {
    if (item instanceof ArrayBuffer) found.add(item);
    else if (ArrayBuffer.isView(item)) visit(item.buffer);
    else if (item instanceof Map || Array.isArray(item)) for (const inner of item.values()) visit(inner);
    else if (typeof item === "object" && item !== null) for (const inner of Object.values(item)) visit(inner);
  };
  visit(value);
  return [...found];
}
