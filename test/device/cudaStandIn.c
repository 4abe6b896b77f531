// CUDA without a device, for asking ONNX Runtime's CUDA provider which operators it has kernels for: memory is
// the host's, streams and handles are empty, and kernels do not run. cudaStandIn.ts builds it, with a function
// that returns 0 for every other one that the provider asks for.
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, NO_SUCH_DEVICE = 101 };

static int allocate(void **address, size_t size) {
  *address = aligned_alloc(256, (size + 256) / 256 * 256);
  return *address ? SUCCESS : OUT_OF_MEMORY;
}

static int copy(void *to, const void *from, size_t size) {
  memcpy(to, from, size);
  return SUCCESS;
}

static int release(void *address) {
  free(address);
  return SUCCESS;
}

static int make_handle(void **handle) { return allocate(handle, 8); }

static int give(int *place, int value) {
  *place = value;
  return SUCCESS;
}

int cudaMalloc(void **address, size_t size) { return allocate(address, size); }
int cudaMallocHost(void **address, size_t size) { return allocate(address, size); }
int cudaHostAlloc(void **address, size_t size, unsigned flags) { return allocate(address, size); }
int cudaMallocFromPoolAsync(void **address, size_t size, void *pool, void *stream) { return allocate(address, size); }
int cudaFree(void *address) { return release(address); }
int cudaFreeHost(void *address) { return release(address); }
int cudaFreeAsync(void *address, void *stream) { return release(address); }

int cudaMemcpy(void *to, const void *from, size_t size, int kind) { return copy(to, from, size); }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) { return copy(to, from, size); }
int cudaMemset(void *to, int value, size_t size) {
  memset(to, value, size);
  return SUCCESS;
}
int cudaMemsetAsync(void *to, int value, size_t size, void *stream) { return cudaMemset(to, value, size); }
int cudaMemGetInfo(size_t *unused, size_t *total) {
  *unused = (size_t)8 << 30;
  *total = (size_t)80 << 30;
  return SUCCESS;
}

int cudaGetDevice(int *device) { return give(device, 0); }
int cudaGetDeviceCount(int *count) { return give(count, 1); }
int cudaSetDevice(int device) { return device == 0 ? SUCCESS : NO_SUCH_DEVICE; }
int cudaDriverGetVersion(int *version) { return give(version, 13000); }
int cudaRuntimeGetVersion(int *version) { return give(version, 13000); }
// 75 and 76 are the compute capability: 9.0.
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  return give(value, attribute == 75 ? 9 : attribute == 76 ? 0 : 1024);
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
const char *cudaGetErrorString(int code) { return code == NO_SUCH_DEVICE ? "invalid device ordinal" : "an error"; }
const char *cudaGetErrorName(int code) { return "an error"; }

int cudaStreamCreate(void **stream) { return make_handle(stream); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return make_handle(stream); }
int cudaStreamIsCapturing(void *stream, int *status) { return give(status, 0); }
int cudaEventCreate(void **event) { return make_handle(event); }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return make_handle(event); }
int cudaMemPoolCreate(void **pool, void *properties) { return make_handle(pool); }
void **__cudaRegisterFatBinary(void *code) {
  static void *handle;
  return &handle;
}

int cublasCreate_v2(void **handle) { return make_handle(handle); }
int cublasLtCreate(void **handle) { return make_handle(handle); }
const char *cublasGetStatusString(int status) { return "a status"; }
const char *cublasGetStatusName(int status) { return "a status"; }

int cudnnCreate(void **handle) { return make_handle(handle); }
size_t cudnnGetVersion(void) { return 91300; }
const char *cudnnGetErrorString(int status) { return "a status"; }

int cuInit(unsigned flags) { return SUCCESS; }
