// Ranks that never come, do not answer, or do not leave: whoever waits for them gives them up in time, with
// a typed error, and its process comes to its end with its own exit code.
import { describe, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { MpiEngine } from "../../runtime/ranks/mpi/mpiEngine.ts";
import type { MpiLibrary } from "../../runtime/ranks/mpi/mpiLibrary.ts";
import { stallLimitMs, startWaitMs } from "../../runtime/ranks/rankEnvironment.ts";
import { RankWait } from "../../runtime/ranks/rankWait.ts";
import { type MpiHere, mpichHere, runRanks } from "./mpiPrograms.ts";

const mpi = mpichHere();
const PROGRAM = "test/ranks/startScenarios.js";
/** Node.js alone takes seconds to start where other tests run. */
const MOST_MS = 40_000;
const END_CODE = 5;

describe.skipIf(mpi === undefined)("a rank (MPICH is not here: `mttc setup-mpi` brings it)", () => {
  test.each([
    ["never comes", "absent", "have not come within 1.5 s", {}],
    ["does not answer", "silent", "have not answered within 1.5 s", { later: "E_RANK_LOST", read: 1 }],
    ["does not leave", "staying", "have not taken leave within 1.5 s", { closing: "went on" }],
  ])("that %s is given up after a while", async (_, scenario, words, more) => {
    const began = performance.now();
    const start = { mpi: mpi as MpiHere, size: 2, program: PROGRAM, args: [scenario] };
    const { reports, status, stderr } = await runRanks(start);
    expect(reports[0], stderr).toMatchObject({ code: "E_RANK_LOST", ...more });
    const { message, ms } = reports[0] as { message: string; ms: number };
    expect(message).toContain(words);
    expect(ms).toBeLessThan(20_000);
    // mpiexec kills the other one once the first has ended.
    expect([status, performance.now() - began < MOST_MS]).toEqual([END_CODE, true]);
  });
});

describe.skipIf(mpi === undefined)("memory of a sum that was given up", () => {
  test("stays until the process ends: MPI may still write to it", async () => {
    const start = { mpi: mpi as MpiHere, size: 2, program: PROGRAM, args: ["kept"] };
    const { reports, stderr } = await runRanks(start);
    const wanted = { code: "E_RANK_LOST", isFreed: true, isKept: true };
    expect(reports[0], stderr).toMatchObject(wanted);
  });
});

describe("how long ranks wait for each other at the start", () => {
  test("is what the environment says", () => {
    expect(startWaitMs({})).toEqual({});
    expect(startWaitMs({ MTTC_RANKS_WAIT: "2.5" })).toEqual({ acceptMs: 2500 });
  });

  test.each(["0", "-3", "soon", "1e9", " "])("is refused where that is %j", (text) => {
    expect(() => startWaitMs({ MTTC_RANKS_WAIT: text })).toThrow(/MTTC_RANKS_WAIT is .*\[E_RANKS\]/s);
    expect(() => stallLimitMs({ MTTC_RANKS_STALL: text })).toThrow(/MTTC_RANKS_STALL is .*\[E_RANKS\]/s);
  });

  test("and how long for one that does not go on, too", () => {
    expect(stallLimitMs({})).toEqual({});
    expect(stallLimitMs({ MTTC_RANKS_STALL: "1800" })).toEqual({ giveUpMs: 1_800_000 });
  });
});

describe("an MPI without threads", () => {
  /** An MPI that grants a level, and what was asked of it. */
  function granting(level: number): { library: MpiLibrary; asked: string[] } {
    const asked: string[] = [];
    const ask = (name: string, give?: (out: [number]) => void) => {
      return (...args: unknown[]): number => {
        asked.push(name);
        give?.(args.at(-1) as [number]);
        return 0;
      };
    };
    const functions = {
      MPI_Initialized: ask("MPI_Initialized", (out) => {
        out[0] = 0;
      }),
      MPI_Init_thread: ask("MPI_Init_thread", (out) => {
        out[0] = level;
      }),
      MPI_Finalize: ask("MPI_Finalize"),
    };
    const check = (): void => undefined;
    const number = (_doing: string, call: (out: [number]) => number): number => {
      const out: [number] = [-1];
      call(out);
      return out[0];
    };
    const facts = { file: "libmpi.so", version: "Some MPI 1.0", constants: { funneled: 1024 } };
    return { library: { functions, check, number, ...facts } as unknown as MpiLibrary, asked };
  }

  test("is refused by name, and left", () => {
    const { library, asked } = granting(0);
    const join = () => MpiEngine.join(library, new RankWait());
    expect(join).toThrow(MttcError);
    expect(join).toThrow(
      /Some MPI 1.0 \(libmpi.so\) grants thread level 0, which is below .*FUNNELED.*E_MPI/s,
    );
    expect(asked.slice(0, 3)).toEqual(["MPI_Initialized", "MPI_Init_thread", "MPI_Finalize"]);
  });
});
