// Samples of blocks of pixels as channels, and back.
import { floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const DEPTH_TO_SPACE_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  DepthToSpace: [
    { title: "the channel fastest, by default", inputs: [floats(2, 8, 2, 1)], attrs: { blocksize: 2 } },
    { title: "the block fastest", inputs: [floats(1, 8, 2, 3)], attrs: { blocksize: 2, mode: "CRD" } },
    { title: "blocks of 3", inputs: [floats(1, 9, 1, 2)], attrs: { blocksize: 3, mode: "DCR" } },
  ],
  SpaceToDepth: [
    { title: "blocks of 2", inputs: [floats(2, 2, 4, 2)], attrs: { blocksize: 2 } },
    { title: "blocks of 3", inputs: [floats(1, 1, 3, 6)], attrs: { blocksize: 3 } },
  ],
};
