// Ctrl-C as an AbortSignal, for commands that have something to put in order before they end.
import type { Terminal } from "./terminal.ts";

const INTERRUPTED_EXIT = 130;

/** Aborts at the first SIGINT or SIGTERM and says `doing`; the second ends the process at once. */
export function interruptSignal(
  terminal: Terminal,
  doing: string,
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED_EXIT);
    controller.abort();
    terminal.note(`\n${doing}; once more to stop at once`);
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, onSignal);
  const stop = (): void => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, onSignal);
  };
  return { signal: controller.signal, stop };
}
