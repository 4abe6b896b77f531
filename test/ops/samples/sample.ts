// What a sample of an operator is: the unit that gradient checks, the reference and ONNX Runtime are all run
// on.
import type { Attrs, DType } from "../../../compiler/ir/types.ts";

/** One input: explicit numbers, or a seeded draw. `constant` inputs are graph constants (shapes, axes). */
export interface SampleInput {
  readonly dtype?: DType;
  readonly shape: readonly number[];
  /**
   * Row-major numbers; without them, seeded uniform numbers of [low, high] (default -1 to 1), no two within
   * 1e-3.
   */
  readonly data?: readonly number[];
  readonly low?: number;
  readonly high?: number;
  readonly constant?: boolean;
}

export interface Sample {
  /** A phrase that ends the sentence "<Op> with ...". */
  readonly title: string;
  readonly inputs: readonly (SampleInput | undefined)[];
  readonly attrs?: Attrs;
  /** How many outputs to ask for (default 1). */
  readonly outputs?: number;
  /**
   * Smallest norm that the expected gradient must have (default 1e-2): a check of all-zero gradients proves
   * nothing.
   */
  readonly gradientFloor?: number;
  /**
   * ORT float32 against the reference, relative to the largest expected value (default ORT_FLOAT32_OF or
   * ORT_FLOAT32).
   */
  readonly ortTolerance?: number;
}
