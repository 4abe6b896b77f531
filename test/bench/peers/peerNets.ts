// The nine networks of `npm run bench -- peers`: each as a spec of mttc and as peer_nets.py builds the
// same in PyTorch. Trunks are torchvision's, exported by export_trunks.py; heads have two or three tasks,
// learned weights and Adam.
import type { LayerEntry, SpecInput } from "../../../compiler/spec/schema.ts";

/** What of a network both sides are told. */
export interface PeerNet {
  readonly name: string;
  readonly batch: number;
  /** Height and width of the images in pixels. */
  readonly side: number;
  /** Name of a torchvision network; null: `fcn` holds layer entries. */
  readonly trunk: string | null;
  readonly fcn: readonly LayerEntry[];
  /** Whether the trunk stays as it is, its batch norms' statistics too. */
  readonly frozen: boolean;
  readonly shared: readonly LayerEntry[];
  readonly head: readonly LayerEntry[];
  /** Number of classes of each task. */
  readonly classes: readonly number[];
  /** Batch norms behind the convolutions that the spec lists. */
  readonly batchnorm: boolean;
}

const SCRATCH: Omit<PeerNet, "name" | "batchnorm"> = {
  batch: 32,
  side: 64,
  trunk: null,
  fcn: [32, "p", 64, "p", 128],
  frozen: false,
  shared: [128, "r"],
  head: [64, "p", "d", 128],
  classes: [10, 20],
};
const DEMO: PeerNet = {
  name: "demo",
  batch: 32,
  side: 48,
  trunk: null,
  fcn: [16, "p", 32, "p", 64, "p"],
  frozen: false,
  shared: [64],
  head: [64],
  classes: [12, 82, 5],
  batchnorm: false,
};

/** torchvision's network trained whole on 128 pixels, batch norms by the batch, two linear heads. */
function trained(name: string, trunk: string, batch: number): PeerNet {
  const heads = { fcn: [], shared: [], head: [], classes: [10, 20], batchnorm: false };
  return { ...heads, name, trunk, batch, side: 128, frozen: false };
}

const FROZEN: PeerNet = {
  name: "resnet50-frozen",
  batch: 8,
  side: 256,
  trunk: "resnet50",
  fcn: [],
  frozen: true,
  shared: [512, "r"],
  head: [128, "p", "d", 256],
  classes: [10, 20],
  batchnorm: false,
};

export const PEER_NETS: readonly PeerNet[] = [
  { ...SCRATCH, name: "fcn", batchnorm: false },
  { ...SCRATCH, name: "fcn-bn", batchnorm: true },
  DEMO,
  trained("resnet18", "resnet18", 16),
  trained("resnet50", "resnet50", 8),
  FROZEN,
  trained("mobilenetv2", "mobilenet_v2", 16),
  trained("efficientnet-b0", "efficientnet_b0", 8),
  trained("convnext-tiny", "convnext_tiny", 4),
];

/** torchvision's preprocessing, which peer_nets.py has too. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** The network as a spec; `models` is the folder of the exported trunks. */
export function peerSpec(net: PeerNet, models: string): SpecInput {
  const tasks = net.classes.map((_, task) => `task${task}`);
  const batchnorm = net.frozen ? "frozen" : "train";
  const imported = { path: `${models}/${net.trunk}.onnx`, batchnorm, ...IMAGENET } as const;
  return {
    tasks,
    classes: Object.fromEntries(tasks.map((task, i) => [task, classNames(net.classes[i] ?? 0)])),
    fcn: net.trunk === null ? { layers: [...net.fcn] } : imported,
    train_fcn: !net.frozen,
    shared_layers: [...net.shared],
    task_layers: [...net.head],
    task_weights: "adaptive",
    batchnorm: net.batchnorm,
    imshape: [net.side, net.side],
    batch_size: net.batch,
  };
}

function classNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `class${index}`);
}

/** Trunks that the networks need, each with the side that it is exported at. */
export function trunksOf(nets: readonly PeerNet[]): string[] {
  return [...new Set(nets.flatMap(({ trunk }) => (trunk === null ? [] : [trunk])))];
}
