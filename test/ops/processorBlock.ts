// Channels of a block of ONNX Runtime's convolution on the processor that runs the tests.
import { CHANNEL_BLOCKS, type ChannelBlock } from "../../compiler/ops/channelBlocks.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { channelBlockProbe } from "../../runtime/train/channelBlock.ts";
import { runBytesOnOrt } from "./runOnOrt.ts";

/** 8 or 16; undefined where ONNX Runtime has no such convolution. */
export function processorBlock(library: OrtLibrary): ChannelBlock | undefined {
  const x = { dtype: "float32", shape: [1, 4, 1, 1], data: new Float64Array(4) } as const;
  const model = { name: "probe", bytes: channelBlockProbe(), outputs: ["y"] };
  const y = runBytesOnOrt(library, model, new Map([["x", x]])).get("y");
  return CHANNEL_BLOCKS.find((block) => block === y?.shape[1]);
}
