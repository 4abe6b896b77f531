// Giving memory back at once. V8 collects when its own heap grows, and hardly counts the bytes of typed
// arrays, which lie outside it: a model file of hundreds of megabytes would stay through all of training.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collects this thread's garbage now; takes some tens of milliseconds. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}
