// Options that every command with ONNX Runtime shares, and the parsing of numbers on the command line.
import { type Command, InvalidArgumentError } from "commander";
import type { RuntimeOptions } from "../runtime/train/trainerOptions.ts";

/** What withRuntimeOptions adds to a command's options. */
export interface RuntimeFlags {
  readonly threads?: number;
  readonly ort?: string;
}

/** Adds --threads and --ort. */
export function withRuntimeOptions(command: Command): Command {
  return command
    .option("--threads <n>", "threads of ONNX Runtime (default: one per core)", parsePositive)
    .option("--ort <path>", "another libonnxruntime, or its folder (default: that of onnxruntime-node)");
}

export function runtimeOptions({ threads, ort }: RuntimeFlags): RuntimeOptions {
  return { threads, ortLibrary: ort };
}

/** An integer of at least 1; a usage fault otherwise. */
export function parsePositive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("expected an integer of at least 1");
  return value;
}
