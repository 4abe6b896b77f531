// How many channels ONNX Runtime's convolution on blocks takes side by side on this processor. There is no
// call that says so; the reordered image of one channel too many does: it is filled up to whole blocks.
import { OPSET } from "../../compiler/codec/encodeGraph.ts";
import { type DimensionProto, encodeModelProto } from "../../compiler/codec/protobuf.ts";
import { ONNX_DTYPES } from "../../compiler/codec/tensorBytes.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { CHANNEL_BLOCKS, type ChannelBlock } from "../../compiler/ops/channelBlocks.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { providerTraits } from "../ort/provider.ts";

const GRAPH = "channel block";
/** ReorderInput takes whole quads of channels; this many are half a block, or a quarter. */
const PROBED_CHANNELS = 4;

/** 8 or 16; undefined on devices, and for a processor or an ONNX Runtime without such convolutions. */
export async function readChannelBlock(host: OrtHost): Promise<ChannelBlock | undefined> {
  if (!providerTraits(host.provider).hasChannelBlocks) return undefined;
  try {
    await host.openGraph(GRAPH, { bytes: channelBlockProbe() });
    try {
      const shape = [1, PROBED_CHANNELS, 1, 1];
      const x = { dtype: "float32", shape, data: new Float32Array(PROBED_CHANNELS) } as const;
      const y = (await host.run(GRAPH, { x })).get("y");
      return CHANNEL_BLOCKS.find((block) => block === y?.shape[1]);
    } finally {
      await host.closeGraph(GRAPH);
    }
  } catch (error) {
    // Refused: there is nothing of the kind here.
    if (error instanceof MttcError && error.code === "E_ORT") return undefined;
    throw error;
  }
}

/** A model y = ReorderInput(x) for x float32 [1,4,1,1]: y has as many channels as a block. */
export function channelBlockProbe(): Uint8Array {
  const image = (name: string, channels: DimensionProto) => {
    const one = { dimValue: 1 };
    const shape = { dim: [one, channels, one, one] };
    return { name, type: { tensorType: { elemType: ONNX_DTYPES.float32, shape } } };
  };
  const domain = "com.microsoft.nchwc";
  const node = { name: "probe", opType: "ReorderInput", domain, input: ["x"], output: ["y"], attribute: [] };
  return encodeModelProto({
    irVersion: 8,
    opsetImport: [
      { domain: "", version: OPSET },
      { domain, version: 1 },
    ],
    graph: {
      name: GRAPH,
      node: [node],
      initializer: [],
      input: [image("x", { dimValue: PROBED_CHANNELS })],
      output: [image("y", { dimParam: "blocks" })],
    },
  });
}
