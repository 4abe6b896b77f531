// cuBLAS and cuBLASLt without a device: products are entered into the trace. What has a stream as its
// handle's first word, and is not here, cudaStandIn.ts adds by name.
#include "trace.h"
#include <string.h>

int cublasCreate_v2(void **handle) { return standInHandle(handle); }
int cublasLtCreate(void **handle) { return standInHandle(handle); }
int cublasSetStream_v2(void **handle, void *stream) {
  *handle = stream;
  return SUCCESS;
}
const char *cublasGetStatusString(int status) { return "a status"; }
const char *cublasGetStatusName(int status) { return "a status"; }

// One algorithm of no workspace: cublasLtMatmulHeuristicResult_t has 96 bytes.
int cublasLtMatmulAlgoGetHeuristic(void *lt, void *product, void *a, void *b, void *c, void *d,
                                   void *preference, int wanted, char *results, int *found) {
  memset(results, 0, 96);
  *found = 1;
  return SUCCESS;
}

int cublasLtMatmul(void *lt, void *product, const void *alpha, const void *a, void *aLayout, const void *b,
                   void *bLayout, const void *beta, const void *c, void *cLayout, void *d, void *dLayout,
                   const void *algorithm, void *workspace, size_t workspaceSize, void *stream) {
  return standInHandleWork(&stream, "blas", "cublasLtMatmul");
}
int cublasLtMatrixTransform(void *lt, void *transform, const void *alpha, const void *a, void *aLayout,
                            const void *beta, const void *b, void *bLayout, void *c, void *cLayout,
                            void *stream) {
  return standInHandleWork(&stream, "blas", "cublasLtMatrixTransform");
}
