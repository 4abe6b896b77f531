// `mttc setup-mpi`: brings MPI's library and mpiexec, or NCCL, after asking.
import type { Command } from "commander";
import type { SetupMpiFlags } from "./setupMpiAction.ts";
import type { Terminal } from "./terminal.ts";

export function addSetupMpiCommand(program: Command, terminal: Terminal): void {
  program
    .command("setup-mpi")
    .description("download MPICH, with which several processes train one model (13 MB), pinned by SHA-256")
    .option("-y, --yes", "do not ask")
    .option("--nccl", "download NVIDIA's NCCL (252 MB), for several GPUs, in its place")
    .option("-o, --output <dir>", "folder to write (default: one in your cache, which mttc finds by itself)")
    .action(async (flags: SetupMpiFlags) => {
      const { setUpMpi } = await import("./setupMpiAction.ts");
      await setUpMpi(flags, terminal);
    });
}
