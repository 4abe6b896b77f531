// The packages that hold what several processes talk through, for Linux on x64: MPICH with MPI's standard ABI
// and its mpiexec, and NVIDIA's NCCL.
import { MPICH_VERSION, NCCL_VERSION } from "../ranks/mpiFolder.ts";
import { type Component, type PackagedFile, type PinnedPackage, wheelDownload } from "./pinnedPackage.ts";

const DATA = `mpich-${MPICH_VERSION}.data/data`;
const LICENSES = `mpich-${MPICH_VERSION}.dist-info/licenses`;

/** Programs of the wheel's bin/ and what they are here; mpiexec starts the proxy that lies beside it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  mpiexec: "18e436afe968b4534a93555c10db82622375d3457f8827f9147d3f960e211a9e",
  hydra_pmi_proxy: "8c9f1c5be81678a2d0a402d1a3ad2747a9262b9ada3a977795b3cf99d16ace91",
};

/** Libraries of the wheel's lib/, which find each other by where they lie. */
const LIBRARIES: Readonly<Record<string, string>> = {
  "libmpi_abi.so.1": "42918a6749a42355dee5388281a94c37303832f9e11bc138709fb5e7622529fa",
  "mpich/libfabric.so.1": "774cf3f9fc0edd82cfbee15e1610c36f94f2b8d1410115d7bab7ca5cd7764003",
  "mpich/libfabric/libefa-fi.so": "e032509f7d2b8ea6c2eae49b5924baced0e76b8a4d01dc8496cf20add1e128d8",
  "mpich/libfabric/libpsmx2-fi.so": "6524f7291e79840c8200547b62e553e0282b26f6057e44ef51e9fd5330c21107",
  "mpich/libfabric/libverbs-fi.so": "e4cef4cd839bb4a9970289b0fb10a2fc4f1c80b4e13787a9931ed25fbde44aee",
  "mpich/libucm.so.0": "ec60318e242e5526325d39564c78ed9fb7a1666c79ba138fdabf2720479f0da2",
  "mpich/libucp.so.0": "da88318be234deef89f5ac29f180d1cba549fb1588cafa1f659cd0433efb2d97",
  "mpich/libucs.so.0": "dc2547cf7278c048dac4dbc052b0ae72b93fff5ccdd5a34da1086730c0bd7cb6",
  "mpich/libucs_signal.so.0": "8ed5194bd9ad58be4aff909404306e23abea937aa5eaced774b65baf241c65be",
  "mpich/libuct.so.0": "7c64f83367a547cb54b7e2b4a31b886550f2e4284e612cf413b6e26a79f38b27",
  "mpich/ucx/libuct_cma.so.0": "c6f281308448a47df88a077276c2eaa39ce2bcaa6d7d0c0e58bf58ad49d31920",
  "mpich/ucx/libuct_ib.so.0": "fc6897506e0e7344d913db41c2139738a4cd1247efb80a8a651df954cde1a6d4",
  "mpich/ucx/libuct_ib_efa.so.0": "693ce201c4b3bcf805431f98385e3efd9ae10c565dfbb140a784cb0f8efe30c8",
  "mpich/ucx/libuct_ib_mlx5.so.0": "93a60813a9ee514cb2e9bf32a736d1826a0a9de00829ed7e6fb12cbb466bf66e",
  "mpich/ucx/libuct_rdmacm.so.0": "cd9fff1ecb177e671b2c03a0b44125104b0fd0c8c2313c2bd96be8e91bf05c79",
};

/** The terms under which all of it may be copied. */
const TERMS: Readonly<Record<string, string>> = {
  LICENSE: "60fc73dd0d561c98aa1987fcd68c57be2fcb55add62ad69d3a35f42e10967399",
  "LICENSE.hwloc": "d79a936a42f3c6cb7c8375a023d43f4435f4664d3a5a2ea6b4623cff83c7fc06",
  "LICENSE.json-c": "74c1e6ca5eba76b54d0ad00d4815c8315c1b3bc45ff99de61d103dc92486284c",
  "LICENSE.ofi": "09fcf3e28e57cdb62f027bcfad63a9859740209aaac33f80da8b72d30a4ee036",
  "LICENSE.ucx": "ebb5c7fa3d2e20fbee5431a975c7196779647490324dc2346cc561f0f044048d",
};

const MPICH: PinnedPackage = {
  title: `mpich ${MPICH_VERSION} of PyPI (the MPICH team's own)`,
  command: wheelDownload(`mpich==${MPICH_VERSION}`, "manylinux_2_28_x86_64"),
  format: ".whl",
  archiveSha256: "8fed465ebff269ea2ebac179a25de02671ddf8df476e0f115be089015015cfd4",
  downloadBytes: 13_282_595,
  files: [
    ...filesIn(`${DATA}/bin`, "bin", PROGRAMS).map((file) => ({ ...file, isProgram: true })),
    ...filesIn(`${DATA}/lib`, "lib", LIBRARIES),
    ...filesIn(LICENSES, "licenses", TERMS),
  ],
};

const NCCL: PinnedPackage = {
  title: `nvidia-nccl-cu13 ${NCCL_VERSION} of PyPI (NVIDIA's own)`,
  command: wheelDownload(`nvidia-nccl-cu13==${NCCL_VERSION}`, "manylinux_2_18_x86_64"),
  format: ".whl",
  archiveSha256: "0bcaf0308854cb55fcc35af72e2c83143f3b71e65a4e865e2c586b1cdcdb5ae0",
  downloadBytes: 252_442_223,
  files: [
    ...filesIn("nvidia/nccl/lib", "lib", {
      "libnccl.so.2": "78103983bb558aef7277a0c05a9a5963e619a69f6e77ece3c449fb045a3368d4",
    }),
    ...filesIn(`nvidia_nccl_cu13-${NCCL_VERSION}.dist-info/licenses`, "licenses", {
      "License.txt": "0f0174a6b4e0b33ac26375bf729533075b32f4c51a5b6802a3d742d7dcdc9a76",
    }),
  ],
};

const OWN_MPI =
  "install MPICH or Open MPI, and set MTTC_MPI_DIR to its folder if mttc doctor does not find it";

/** What `mttc setup-mpi` brings. */
export const MPI_LIBRARY: Component = {
  what: "MPI library",
  code: "E_MPI_SETUP",
  packages: { "linux-x64": [MPICH] },
  ownNames:
    /^(bin\/(mpiexec|hydra_pmi_proxy)|lib\/libmpi_abi\.so\.\d+|lib\/mpich\/.*\.so[\d.]*|licenses\/.*)$/,
  unfetched: `on another machine, \`pip download mpich==${MPICH_VERSION}\`; or ${OWN_MPI}`,
  elsewhere: OWN_MPI,
};

/** What `mttc setup-mpi --nccl` brings. */
export const NCCL_LIBRARY: Component = {
  what: "NCCL",
  code: "E_MPI_SETUP",
  packages: { "linux-x64": [NCCL] },
  ownNames: /^(lib\/libnccl\.so\.\d+|licenses\/License\.txt)$/,
  unfetched:
    "on another machine, `pip download nvidia-nccl-cu13`, unpack it and set MTTC_NCCL_DIR to its folder",
  elsewhere: "NCCL is for NVIDIA's GPUs under Linux: take `strategy: mpi`",
};

function filesIn(
  folder: string,
  into: string,
  hashes: Readonly<Record<string, string>>,
): readonly PackagedFile[] {
  return Object.entries(hashes).map(([file, sha256]) => ({
    path: `${folder}/${file}`,
    name: `${into}/${file}`,
    sha256,
  }));
}
