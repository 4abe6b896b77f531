// CUDA's runtime without a device: device memory is the host's, copies between the two are carried out, and
// work of the device itself (kernels, fills, copies within it) is entered into the trace and not done. What
// this file and trace.c do not have, cudaStandIn.ts adds as functions that return 0.
#include "trace.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  unsigned x, y, z;
} dim3;

enum { HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE, BY_ADDRESS };
static const char *const DIRECTIONS[] = {"HostToHost", "HostToDevice", "DeviceToHost", "DeviceToDevice"};

struct block {
  char *address;
  size_t size;
  int device;
  struct block *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;

static int allocate(void **address, size_t size, int device) {
  *address = aligned_alloc(256, (size + 256) / 256 * 256);
  if (!*address) return OUT_OF_MEMORY;
  struct block *block = malloc(sizeof *block);
  pthread_mutex_lock(&lock);
  *block = (struct block){*address, size, device, blocks};
  blocks = block;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

static int release(void *address) {
  pthread_mutex_lock(&lock);
  for (struct block **place = &blocks; *place; place = &(*place)->next)
    if ((*place)->address == address) {
      struct block *block = *place;
      *place = block->next;
      free(block);
      free(address);
      break;
    }
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

// 1 for device memory, 0 for pinned memory, -1 for any other.
static int place_of(const void *address) {
  int device = -1;
  pthread_mutex_lock(&lock);
  for (struct block *block = blocks; block; block = block->next)
    if ((size_t)((char *)address - block->address) < block->size) device = block->device;
  pthread_mutex_unlock(&lock);
  return device;
}

static int give(int *place, int value) {
  *place = value;
  return SUCCESS;
}

#define ALLOCATE(name, device)                                            \
  int status = standInUnsafe(NULL, "memory", name, "%zu", size);          \
  return status ? status : allocate(address, size, device);
int cudaMalloc(void **address, size_t size) { ALLOCATE("cudaMalloc", 1) }
int cudaMallocHost(void **address, size_t size) { ALLOCATE("cudaMallocHost", 0) }
int cudaHostAlloc(void **address, size_t size, unsigned flags) { ALLOCATE("cudaHostAlloc", 0) }

#define RELEASE(name)                                                     \
  int status = standInUnsafe(NULL, "memory", name, "");                   \
  return status ? status : release(address);
int cudaFree(void *address) { RELEASE("cudaFree") }
int cudaFreeHost(void *address) { RELEASE("cudaFreeHost") }

int cudaMallocFromPoolAsync(void **address, size_t size, void *pool, void *stream) {
  int status = standInWork(stream, "memory", "cudaMallocFromPoolAsync", "%zu", size);
  return status > 0 ? status : allocate(address, size, 1);
}
int cudaFreeAsync(void *address, void *stream) {
  int status = standInWork(stream, "memory", "cudaFreeAsync", "");
  return status > 0 ? status : status == RECORDED ? SUCCESS : release(address);
}
int cudaMemPoolCreate(void **pool, void *properties) { return standInHandle(pool); }

static int direction(void *to, const void *from, int kind) {
  if (kind != BY_ADDRESS) return kind;
  return (place_of(from) == 1 ? DEVICE_TO_HOST : HOST_TO_HOST) + (place_of(to) == 1 ? HOST_TO_DEVICE : 0);
}

// The memory on the host's side, where there is one.
static const char *side(void *to, const void *from, int kind) {
  if (kind == DEVICE_TO_DEVICE) return "";
  return place_of(kind == DEVICE_TO_HOST ? to : from) == 0 ? " pinned" : " pageable";
}

static int finish_copy(int status, void *to, const void *from, size_t size, int kind, void *stream) {
  if (status == RECORDED && kind == HOST_TO_DEVICE) standInSource(stream, from, size);
  if (status == SUCCESS && kind != DEVICE_TO_DEVICE) memcpy(to, from, size);
  return status == RECORDED ? SUCCESS : status;
}

int cudaMemcpy(void *to, const void *from, size_t size, int kind) {
  kind = direction(to, from, kind);
  const char *memory = side(to, from, kind);
  int status = standInUnsafe(NULL, "copy", "cudaMemcpy", "%s %zu%s", DIRECTIONS[kind], size, memory);
  return finish_copy(status, to, from, size, kind, NULL);
}
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
  kind = direction(to, from, kind);
  const char *memory = side(to, from, kind);
  int status = standInWork(stream, "copy", "cudaMemcpyAsync", "%s %zu%s", DIRECTIONS[kind], size, memory);
  return finish_copy(status, to, from, size, kind, stream);
}
int cudaMemcpy2DAsync(void *to, size_t toPitch, const void *from, size_t fromPitch, size_t width,
                      size_t height, int kind, void *stream) {
  kind = direction(to, from, kind);
  const char *memory = side(to, from, kind);
  const char *name = "cudaMemcpy2DAsync";
  int status = standInWork(stream, "copy", name, "%s %zu%s", DIRECTIONS[kind], width * height, memory);
  for (size_t row = 0; status == SUCCESS && kind != DEVICE_TO_DEVICE && row < height; row++)
    memcpy((char *)to + row * toPitch, (char *)from + row * fromPitch, width);
  return status == RECORDED ? SUCCESS : status;
}
int cudaMemset(void *to, int value, size_t size) {
  return standInUnsafe(NULL, "fill", "cudaMemset", "%zu", size);
}
int cudaMemsetAsync(void *to, int value, size_t size, void *stream) {
  int status = standInWork(stream, "fill", "cudaMemsetAsync", "%zu", size);
  return status == RECORDED ? SUCCESS : status;
}
int cudaMemGetInfo(size_t *unused, size_t *total) {
  *unused = (size_t)72 << 30;
  *total = (size_t)80 << 30;
  return SUCCESS;
}

// Kernels are known by the address of the host's function for them.
enum { NAMES = 1 << 17 };
static struct {
  const void *function;
  const char *name;
} names[NAMES];

static size_t name_place(const void *function) {
  size_t place = ((size_t)function >> 4) * 2654435761u % NAMES;
  while (names[place].function && names[place].function != function) place = (place + 1) % NAMES;
  return place;
}

void **__cudaRegisterFatBinary(void *code) {
  static void *handle;
  return &handle;
}
void __cudaRegisterFunction(void **code, const void *function, char *device, const char *name) {
  size_t place = name_place(function);
  names[place].function = function;
  names[place].name = name;
}
int __cudaGetKernel(const void **kernel, const void *function) {
  *kernel = function;
  return SUCCESS;
}

static __thread struct {
  dim3 grid, block;
  size_t shared;
  void *stream;
} configuration;

int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream) {
  configuration.grid = grid;
  configuration.block = block;
  configuration.shared = shared;
  configuration.stream = stream;
  return SUCCESS;
}
int __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void **stream) {
  *grid = configuration.grid;
  *block = configuration.block;
  *shared = configuration.shared;
  *stream = configuration.stream;
  return SUCCESS;
}

int cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **args, size_t shared, void *stream) {
  const char *name = names[name_place(function)].name;
  int status = standInWork(stream, "kernel", name ? name : "?", "%u,%u,%u x %u,%u,%u", grid.x, grid.y, grid.z,
                           block.x, block.y, block.z);
  return status == RECORDED ? SUCCESS : status;
}
int __cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **args, size_t shared, void *stream) {
  return cudaLaunchKernel(kernel, grid, block, args, shared, stream);
}
struct launch {
  dim3 grid, block;
  size_t shared;
  void *stream;
};
int cudaLaunchKernelExC(const struct launch *launch, const void *function, void **args) {
  return cudaLaunchKernel(function, launch->grid, launch->block, args, launch->shared, launch->stream);
}

int cudaLaunchHostFunc(void *stream, void (*function)(void *), void *data) {
  int status = standInWork(stream, "host", "cudaLaunchHostFunc", "");
  if (status == SUCCESS) function(data);
  return status == RECORDED ? SUCCESS : status;
}

// The head of cudaFuncAttributes: CUB chooses by the versions.
int cudaFuncGetAttributes(char *attributes, const void *function) {
  const int known[] = {1024, 32, 90, 90};  // maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion
  memset(attributes, 0, 40);
  memcpy(attributes + 24, known, sizeof known);
  return SUCCESS;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *count, const void *function, int threads,
                                                           size_t shared, unsigned flags) {
  return give(count, threads > 0 && threads <= 1024 ? 2048 / threads : 1);
}
int cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version,
                                     unsigned long long flags, int *found) {
  *function = NULL;
  if (found) *found = 1;  // cudaDriverEntryPointSymbolNotFound
  return SUCCESS;
}

// MTTC_TEST_DEVICES says how many there are: one, where it is not set.
static int device_count(void) {
  const char *count = getenv("MTTC_TEST_DEVICES");
  return count ? atoi(count) : 1;
}
static _Thread_local int current_device;
int cudaGetDevice(int *device) { return give(device, current_device); }
int cudaGetDeviceCount(int *count) { return give(count, device_count()); }
int cudaSetDevice(int device) {
  if (device < 0 || device >= device_count()) return NO_SUCH_DEVICE;
  current_device = device;
  return SUCCESS;
}
int cudaDriverGetVersion(int *version) { return give(version, 13000); }
int cudaRuntimeGetVersion(int *version) { return give(version, 13000); }
// 16 is the count of multiprocessors; 75 and 76 are the compute capability: 9.0.
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  return give(value, attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : 1024);
}
// The head of CUDA 13's cudaDeviceProp; what the provider reads lies within it.
int cudaGetDeviceProperties(char *properties, int device) {
  memset(properties, 0, 400);
  strcpy(properties, "no device");
  *(size_t *)(properties + 288) = (size_t)80 << 30;            // totalGlobalMem
  *(size_t *)(properties + 296) = 48 << 10;                    // sharedMemPerBlock
  *(int *)(properties + 304) = 64 << 10;                       // regsPerBlock
  *(int *)(properties + 308) = 32;                             // warpSize
  *(int *)(properties + 320) = 1024;                           // maxThreadsPerBlock
  const int limits[] = {1024, 1024, 64, 2147483647, 65535, 65535};  // maxThreadsDim, maxGridSize
  memcpy(properties + 324, limits, sizeof limits);
  *(int *)(properties + 360) = 9;                              // major
  *(int *)(properties + 384) = 132;                            // multiProcessorCount
  return SUCCESS;
}
const char *cudaGetErrorString(int code) {
  return code == NO_SUCH_DEVICE ? "invalid device ordinal" : "an error";
}
const char *cudaGetErrorName(int code) { return "an error"; }
