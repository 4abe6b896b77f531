// Errors across a worker's message channel, which keeps neither classes nor custom fields: packed as plain
// data on one side, made into the same kind of error on the other.
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";

/** An error as plain data: faults of the user's or the machine's, or a broken invariant of ours. */
export type PackedError =
  | { readonly kind: "faults"; readonly faults: readonly Fault[]; readonly stack: string }
  | { readonly kind: "internal"; readonly message: string; readonly stack: string };

/** An error as data that can be posted. What is neither MttcError nor InternalError counts as internal. */
export function packError(error: unknown): PackedError {
  if (error instanceof MttcError)
    return { kind: "faults", faults: error.faults, stack: error.stack ?? error.message };
  const message = error instanceof InternalError ? error.message : `on a worker thread: ${String(error)}`;
  return { kind: "internal", message, stack: error instanceof Error ? (error.stack ?? message) : message };
}

/** The error that was packed, with the stack of the thread where it happened. */
export function unpackError(packed: PackedError): MttcError | InternalError {
  const error = packed.kind === "faults" ? new MttcError(packed.faults) : new InternalError(packed.message);
  error.stack = packed.stack;
  return error;
}
