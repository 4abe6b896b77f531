// The resize in the graph of a file for any size, against training's reader: noise, hard edges and waves of
// odd sizes, reduced, enlarged and both, in RGB and in grey, with ONNX Runtime.
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { withAnySize } from "../../compiler/export/anySize.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { RandomStream } from "../../runtime/draws/randomStream.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { pythonWith } from "../python.ts";
import { GREY_IN_GRAPH, RESIZE_IN_GRAPH } from "../tolerances.ts";

/** Height and width of the image, then of the network. */
const SIZES = [
  ...[
    [32, 32, 32, 32],
    [64, 64, 32, 32],
    [65, 66, 64, 64],
    [100, 80, 48, 48],
    [47, 61, 32, 48],
  ],
  ...[
    [301, 403, 24, 40],
    [999, 1234, 64, 96],
    [193, 257, 192, 192],
    [225, 224, 224, 224],
  ],
  ...[
    [40, 60, 64, 64],
    [33, 35, 224, 224],
    [8, 8, 64, 64],
    [64, 30, 64, 64],
  ],
  ...[
    [30, 200, 64, 64],
    [200, 30, 64, 64],
    [9, 3000, 64, 64],
    [1500, 2000, 16, 20],
    [600, 8, 8, 8],
  ],
] as const;
const KINDS = ["noise", "edges", "waves"] as const;

let host: OrtHost;

beforeAll(async () => {
  host = await OrtHost.start({ intraOpThreads: 1 });
});
afterAll(() => host.close());

/** A picture [height,width,3] that is hard to resize. */
function picture(kind: (typeof KINDS)[number], height: number, width: number): Uint8Array {
  const stream = new RandomStream(height, kind, width);
  const tiles = Uint8Array.from({ length: Math.ceil(height / 7) * Math.ceil(width / 7) * 3 }, () =>
    stream.nextUniform() < 0.5 ? 0 : 255,
  );
  const pixels = new Uint8Array(height * width * 3);
  for (let i = 0; i < pixels.length; i++) {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    if (kind === "noise") pixels[i] = stream.nextUniform() * 256;
    else if (kind === "edges")
      pixels[i] = tiles[(Math.floor(y / 7) * Math.ceil(width / 7) + Math.floor(x / 7)) * 3 + c] ?? 0;
    else pixels[i] = 127.5 + 120 * Math.sin((x * (1 + c) + 0.7 * y) / 23);
  }
  return pixels;
}

async function pngOf(pixels: Uint8Array, height: number, width: number): Promise<Buffer> {
  return await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

/** A file for any size whose network gives its pixels back. */
function mirror(height: number, width: number, channels: number, greyscale: boolean): Uint8Array {
  const b = new GraphBuilder("mirror", OPS);
  const image = b.input("image", "uint8", ["N", height, width, channels]);
  b.output("pixels", b.cast(image, "float32"));
  return withAnySize(encodeGraph(b.build()), { height, width, channels, greyscale });
}

/** What the graph makes of the picture, and what training does. */
async function both(
  pixels: Uint8Array,
  [height, width, toHeight, toWidth]: readonly number[],
  grey: { readonly channels: number; readonly greyscale: boolean },
): Promise<{ ours: number[]; theirs: Uint8Array }> {
  const [h, w, th, tw] = [height ?? 0, width ?? 0, toHeight ?? 0, toWidth ?? 0];
  const png = await pngOf(pixels, h, w);
  const theirs = await decodeImage(png, { height: th, width: tw, ...grey }, "a picture");
  const name = `${th}x${tw} ${grey.channels} ${grey.greyscale} ${Math.random()}`;
  await host.openGraph(name, { bytes: mirror(th, tw, grey.channels, grey.greyscale) });
  const data = new Uint8Array(pixels);
  const results = await host.run(name, { image: { dtype: "uint8", shape: [1, h, w, 3], data } });
  await host.closeGraph(name);
  return { ours: Array.from(results.get("pixels")?.data ?? [], Number), theirs };
}

function differences(ours: readonly number[], theirs: Uint8Array) {
  expect(ours.length).toBe(theirs.length);
  const sizes = ours.map((value, i) => Math.abs(value - (theirs[i] ?? 0)));
  const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
  return { largest, different: sizes.filter((size) => size > 0).length / sizes.length };
}

describe("the resize in the graph is training's", () => {
  test.each(SIZES)("%i x %i to %i x %i", async (...sizes) => {
    for (const kind of KINDS) {
      const pixels = picture(kind, sizes[0], sizes[1]);
      const { ours, theirs } = await both(pixels, sizes, { channels: 3, greyscale: false });
      const { largest, different } = differences(ours, theirs);
      expect([kind, largest <= RESIZE_IN_GRAPH.largest, different <= RESIZE_IN_GRAPH.different]).toEqual([
        ...[kind, true, true],
      ]);
    }
  });

  test.each([1, 3, 5])("for models of grey in %i channels", async (channels) => {
    for (const sizes of [SIZES[3], SIZES[5], SIZES[9], SIZES[13]]) {
      const pixels = picture("noise", sizes[0], sizes[1]);
      const { ours, theirs } = await both(pixels, sizes, { channels, greyscale: true });
      const { largest, different } = differences(ours, theirs);
      expect([largest <= GREY_IN_GRAPH.largest, different <= GREY_IN_GRAPH.different]).toEqual([true, true]);
    }
  });

  test("grey pictures stay what they are in models of grey", async () => {
    const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => Math.floor(i / 3));
    const { ours } = await both(pixels, [16, 16, 16, 16], { channels: 1, greyscale: true });
    expect(ours).toEqual(Array.from({ length: 256 }, (_, i) => i));
  });
});

test("the numpy of docs/predict.md is training's resize", async (context) => {
  const python = pythonWith("numpy");
  if (python === undefined) return context.skip("no python3 with numpy");
  const text = await readFile(join(PROJECT_ROOT, "docs", "predict.md"), "utf8");
  const [, code = ""] = /```py\n(def box[\s\S]*?)```/.exec(text) ?? [];
  expect(code).toContain("def resize(a, h, w):");
  for (const sizes of [SIZES[5], SIZES[7], SIZES[9], SIZES[13], SIZES[17]]) {
    const [height, width, toHeight, toWidth] = sizes;
    const pixels = picture("noise", height, width);
    const png = await pngOf(pixels, height, width);
    const format = { height: toHeight, width: toWidth, channels: 3, greyscale: false };
    const wanted = await decodeImage(png, format, "a picture");
    const script = `import sys, numpy as np
${code}
a = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(${height}, ${width}, 3)
sys.stdout.buffer.write(resize(a, ${toHeight}, ${toWidth}).tobytes())`;
    const { stdout, stderr } = spawnSync(python, ["-c", script], { input: pixels });
    expect(stderr.toString()).toBe("");
    const { largest, different } = differences(Array.from(stdout), wanted);
    expect([largest <= RESIZE_IN_GRAPH.largest, different <= RESIZE_IN_GRAPH.different]).toEqual([
      true,
      true,
    ]);
  }
});
