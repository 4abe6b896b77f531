// What the tests of launched ranks start: `launch N <scene> ...` runs N processes of this file through
// launchRanks, and each plays the scene as ranks of `mttc train` would. It runs from dist/.
import { existsSync } from "node:fs";
import { reportError } from "../../cli/errorReport.ts";
import { endAtSignals, obeyLauncher, placeAmongSeveral } from "../../cli/launchedRank.ts";
import { launchRanks } from "../../cli/launchRanks.ts";
import { processTerminal } from "../../cli/terminal.ts";
import { RANKS_END } from "../../runtime/ranks/mpiexecCommand.ts";

const [, file = ""] = process.argv;
const words = process.argv.slice(2);

/** Longer than any test waits. */
const LONG_MS = 60_000;

if (words[0] === "launch") {
  const terminal = processTerminal();
  const program = [process.execPath, file, ...words.slice(2)];
  process.exitCode = await launchRanks(Number(words[1]), terminal, program).catch((error: unknown) =>
    reportError(error, terminal),
  );
} else {
  const place = placeAmongSeveral();
  if (!place) throw new Error("not started among several");
  obeyLauncher(place);
  await play(place.rank, words[0] ?? "", words.slice(1));
}

/** exit A B: rank 0 exits with A, the others with B; die R: rank R is killed; and so on. */
async function play(rank: number, scene: string, args: readonly string[]): Promise<void> {
  const say = (text: string): unknown => rank === 0 && process.stdout.write(`${text}\n`);
  if (scene === "exit") process.exitCode = Number(args[rank === 0 ? 0 : 1]);
  if (scene === "look") {
    say(`stdout ${processTerminal().isTerminal} ${process.stdout.columns ?? 0}`);
    process.stderr.write(rank === 0 ? `stderr ${process.stderr.isTTY === true}\n` : "");
    say(JSON.stringify(args));
  }
  if (scene === "die") {
    const isVictim = rank === Number(args[0]);
    await new Promise((resolve) => setTimeout(resolve, isVictim ? 700 : 2_000));
    if (isVictim) process.kill(process.pid, "SIGKILL");
    say("rank 0 lives");
    process.exitCode = 3;
  }
  if (scene === "wait") await wait(rank, say, args[0] === "deaf");
  if (scene === "begin") {
    endAtSignals();
    say("beginning");
    await new Promise((resolve) => setTimeout(resolve, LONG_MS));
  }
}

/** Until a signal, by which rank 0 alone ends; the others when it has. */
async function wait(rank: number, say: (text: string) => unknown, isDeaf: boolean): Promise<void> {
  if (rank > 0) {
    // As the channel would say it.
    const { [RANKS_END]: end = "" } = process.env;
    while (!existsSync(end)) await new Promise((resolve) => setTimeout(resolve, 50));
    process.exit(7);
  }
  say("waiting");
  const heard = new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(name, () => (isDeaf ? say(`${name} is not obeyed`) : resolve(name)));
  });
  const long = new Promise((resolve) => setTimeout(resolve, LONG_MS));
  const name = await Promise.race([heard, long]);
  say(`rank 0 got ${name}`);
  process.exit(130);
}
