// The provider that a user asks for, by name. Apart from what opens one: a command line that is only read
// loads no native part.
import type { Provider } from "./provider.ts";

/** A provider, or the best that this machine has: of its CUDA devices the first, or `device`. */
export type ProviderRequest =
  | Provider
  | { readonly kind: "auto"; readonly tf32: boolean; readonly device?: number };

/** A request as it is written: "cpu", "cuda", "cuda:1" or "auto"; "webgpu" for tests. */
export type ProviderName = "cpu" | "cuda" | `cuda:${number}` | "auto" | "webgpu";

/** Whether a text names a provider. */
export function isProviderName(text: string): text is ProviderName {
  return parseProvider(text, false) !== undefined;
}

/** Reads a provider's name; undefined for what is none. `tf32` is for CUDA devices. */
export function parseProvider(name: string, tf32: boolean): ProviderRequest | undefined {
  if (name === "cpu" || name === "webgpu") return { kind: name };
  if (name === "auto") return { kind: name, tf32 };
  const device = /^cuda(?::(\d{1,3}))?$/.exec(name);
  return device ? { kind: "cuda", device: Number(device[1] ?? 0), tf32 } : undefined;
}
