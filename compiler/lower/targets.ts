// The targets that there are. A new one is a line in manifest's TARGETS, for which the type then asks here.
import type { Target } from "../bundle/manifest.ts";
import { cpuTarget } from "./cpu.ts";
import { cudaTarget } from "./cuda.ts";
import type { TargetTraits } from "./target.ts";

export const TARGET_TRAITS: Readonly<Record<Target, TargetTraits>> = { cpu: cpuTarget, cuda: cudaTarget };
