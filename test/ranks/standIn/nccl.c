// A stand-in for libnccl and libcudart in one: device memory is the host's, a stream is done when its thread
// is, and ranks meet in shared memory that the unique id names. It sums; of speed it says nothing.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHUNK = 1 << 16, MAX_RANKS = 8, MAX_CALLS = 512, NOT_READY = 600, FLOAT32 = 7 };

typedef struct { char internal[128]; } UniqueId;
typedef struct {
  atomic_int arrived[2], joined;
  unsigned char slots[MAX_RANKS][CHUNK];
} Shared;
typedef struct { int rank, size, turn; atomic_int aborted; Shared *shared; } Comm;
typedef struct { const unsigned char *from; unsigned char *to; size_t bytes; int root; Comm *comm; } Call;

static Call calls[MAX_CALLS];
static int count, is_grouped;
static atomic_int is_running;

// Everyone comes twice before a counter is used again, so that no one can be counted in the wrong round.
static int meet(Comm *comm) {
  atomic_int *arrived = &comm->shared->arrived[comm->turn & 1];
  int target = (comm->turn / 2 + 1) * comm->size;
  comm->turn++;
  atomic_fetch_add(arrived, 1);
  while (atomic_load(arrived) < target) {
    if (atomic_load(&comm->aborted)) return 0;
    sched_yield();
  }
  return 1;
}

static int carry_out(Call *call) {
  Comm *comm = call->comm;
  for (size_t at = 0; at < call->bytes; at += CHUNK) {
    size_t bytes = call->bytes - at < CHUNK ? call->bytes - at : CHUNK;
    memcpy(comm->shared->slots[comm->rank], call->from + at, bytes);
    if (!meet(comm)) return 0;
    if (call->root >= 0) memcpy(call->to + at, comm->shared->slots[call->root], bytes);
    else
      for (size_t i = 0; i < bytes / sizeof(float); i++) {
        float sum = 0;
        for (int rank = 0; rank < comm->size; rank++) sum += ((float *)comm->shared->slots[rank])[i];
        ((float *)(call->to + at))[i] = sum;
      }
    if (!meet(comm)) return 0;
  }
  return 1;
}

static void *stream_thread(void *unused) {
  for (int i = 0; i < count && carry_out(&calls[i]); i++);
  count = 0;
  atomic_store(&is_running, 0);
  return unused;
}

static int launch(void) {
  pthread_t thread;
  atomic_store(&is_running, 1);
  if (pthread_create(&thread, NULL, stream_thread, NULL) != 0) return 1;
  return pthread_detach(thread);
}

static int enqueue(Call call) {
  if (count == MAX_CALLS) return 3;
  calls[count++] = call;
  return is_grouped ? 0 : launch();
}

int ncclGetVersion(int *version) { *version = 23102; return 0; }
const char *ncclGetErrorString(int code) { return code == 4 ? "invalid argument" : "unhandled error"; }
int ncclGetUniqueId(UniqueId *id) {
  memset(id, 'x', sizeof *id);
  snprintf(id->internal, sizeof id->internal, "/mttc-nccl-%d", getpid());
  return 0;
}
int ncclCommInitRank(Comm **out, int size, UniqueId id, int rank) {
  // The last byte shows whether the whole id came by value.
  if (size > MAX_RANKS || id.internal[127] != 'x') return 4;
  int file = shm_open(id.internal, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Shared)) != 0) return 2;
  Comm *comm = calloc(1, sizeof *comm);
  comm->rank = rank;
  comm->size = size;
  comm->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  atomic_fetch_add(&comm->shared->joined, 1);
  while (atomic_load(&comm->shared->joined) < size) sched_yield();
  shm_unlink(id.internal);
  *out = comm;
  return getenv("MTTC_TEST_NCCL_FAILS") ? 4 : 0;
}
int ncclGroupStart(void) { is_grouped = 1; return 0; }
int ncclGroupEnd(void) { is_grouped = 0; return launch(); }
int ncclAllReduce(const void *from, void *to, size_t n, int type, int op, Comm *comm, void *stream) {
  if (type != FLOAT32 || op != 0 || stream == NULL) return 4;
  return enqueue((Call){from, to, n * sizeof(float), -1, comm});
}
int ncclBroadcast(const void *from, void *to, size_t n, int type, int root, Comm *comm, void *stream) {
  if (type > 1 || stream == NULL) return 4;
  return enqueue((Call){from, to, n, root, comm});
}
int ncclCommAbort(Comm *comm) {
  atomic_store(&comm->aborted, 1);
  while (atomic_load(&is_running)) sched_yield();
  fputs("ncclCommAbort\n", stderr);
  return 0;
}
int ncclCommDestroy(Comm *comm) { munmap(comm->shared, sizeof(Shared)); free(comm); return 0; }

int cudaSetDevice(int device) { return device < MAX_RANKS ? 0 : 101; }
int cudaDeviceSynchronize(void) { return 0; }
int cudaStreamCreateWithFlags(void **stream, int flags) { *stream = malloc(1); return flags == 1 ? 0 : 1; }
int cudaStreamQuery(void *stream) { return atomic_load(&is_running) && stream ? NOT_READY : 0; }
int cudaStreamDestroy(void *stream) { free(stream); return 0; }
const char *cudaGetErrorString(int code) { return code == 101 ? "invalid device ordinal" : "an error"; }
