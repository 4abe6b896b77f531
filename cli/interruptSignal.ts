// Ctrl-C as an AbortSignal, for commands that have something to put in order before they end; and what else
// ends a program from outside: SIGTERM, a terminal that is closed (SIGHUP), a reader that has gone.
import { INTERRUPTED_EXIT } from "./errorReport.ts";
import { heedSignals } from "./programEnd.ts";
import type { Terminal } from "./terminal.ts";

/**
 * A second signal sooner than this is the first one again: a terminal sends Ctrl-C to npx and to mttc, and
 * npx passes it on.
 */
export const SAME_MS = 500;

/**
 * Aborts at the first signal, or when whoever reads the output has gone, and says `doing`; a second Ctrl-C or
 * SIGTERM ends the process at once.
 */
export function interruptSignal(
  terminal: Terminal,
  doing: string,
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController();
  let abortedAt = 0;
  const abort = (notice: string): void => {
    if (controller.signal.aborted) return;
    abortedAt = performance.now();
    controller.abort();
    terminal.note(notice);
  };
  let isOver = false;
  const giveBack = heedSignals((name) => {
    if (isOver) return;
    if (!controller.signal.aborted) abort(`\n${doing}; once more to stop at once`);
    // A closing terminal may hang up more than once: nobody asks for haste by that.
    else if (name !== "SIGHUP" && performance.now() - abortedAt > SAME_MS) process.exit(INTERRUPTED_EXIT);
  });
  const forgetReader = terminal.onReaderGone(() => abort(`the reader of the output has gone: ${doing}`));
  const stop = (): void => {
    forgetReader();
    // After an interruption the program is about to end: the same signal once more must not end it before it
    // has said what was saved.
    if (controller.signal.aborted) return;
    isOver = true;
    giveBack();
  };
  return { signal: controller.signal, stop };
}
