// Compares a text with the one that is kept, line by line, and says where they part.

/** What is wrong with `actual`, or undefined if it is `expected` to the character. */
export function describeDifference(expected: string, actual: string): string | undefined {
  if (expected === actual) return undefined;
  const [wanted, found] = [expected.split("\n"), actual.split("\n")];
  const at = wanted.findIndex((line, i) => line !== found[i]);
  const line = at < 0 ? wanted.length : at;
  return (
    `line ${line + 1} of ${wanted.length} (now ${found.length}):\n` +
    `- ${wanted[line] ?? "(nothing)"}\n+ ${found[line] ?? "(nothing)"}\nUPDATE_GOLDEN=1 rewrites the files`
  );
}

/** Whether the kept texts are to be rewritten; throws where a machine that only checks is told to. */
export function wantsUpdate(environment: Readonly<Record<string, string | undefined>>): boolean {
  if (!environment.UPDATE_GOLDEN) return false;
  if (environment.CI) throw new Error("UPDATE_GOLDEN is refused when CI is set");
  return true;
}
