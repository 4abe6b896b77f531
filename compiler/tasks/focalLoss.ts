// The focal loss as a setting of kinds whose loss is a cross-entropy (Lin et al., arXiv 1708.02002): each
// term of it times (1 - p)^gamma, p being the probability of what it is about.
import { z } from "zod";
import type { LossChoices } from "./task.ts";

/** Beyond this all but the worst rows vanish. */
export const MOST_GAMMA = 10;
const DEFAULT_GAMMA = 2;

const gammaPhrase = { error: `a number from 0 to ${MOST_GAMMA}` };

/** The settings of such a kind. */
export const FOCAL_SETTINGS = {
  loss: z
    .enum(["cross_entropy", "focal"], { error: '"cross_entropy" or "focal"' })
    .optional()
    .describe("What is trained: the cross-entropy, or its terms times (1 - p)^gamma."),
  gamma: z
    .number(gammaPhrase)
    .min(0, gammaPhrase)
    .max(MOST_GAMMA, gammaPhrase)
    .optional()
    .describe(`Of the focal loss; ${DEFAULT_GAMMA} by default.`),
} as const;

type Settings = Readonly<Record<string, unknown>>;

/** A gamma without the loss that has one. */
export function focalClash({ loss, gamma }: Settings): { key: string; message: string } | undefined {
  if (gamma === undefined || loss === "focal") return undefined;
  return { key: "gamma", message: "only the focal loss has a gamma; write `loss: focal`, too" };
}

/** "cross-entropy", or what is made of it. */
export function crossEntropyText({ labelSmoothing, gamma }: LossChoices): string {
  const smoothed = labelSmoothing > 0 ? [`smoothed ${labelSmoothing}`] : [];
  return [gamma > 0 ? `focal, gamma ${gamma}` : "cross-entropy", ...smoothed].join(", ");
}

/** The gamma that a task's settings choose, 0 for the cross-entropy; undefined where they choose nothing. */
export function chosenGamma({ loss, gamma }: Settings): number | undefined {
  if (loss === undefined) return undefined;
  if (loss !== "focal") return 0;
  return typeof gamma === "number" ? gamma : DEFAULT_GAMMA;
}
