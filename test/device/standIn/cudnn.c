// cuDNN without a device. Its graphs are built of descriptors with attributes; here a descriptor knows only
// the operations that lead to it ("ConvolutionForward+Pointwise"), which are what an execution enters into
// the trace. Heuristics give one engine, without knobs, notes and workspace. Functions of its older
// interface cudaStandIn.ts adds by name.
#include "trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// cudnnBackendDescriptorType_t.
enum { ENGINE = 2, CONFIGURATION, HEURISTIC, PLAN, GRAPH = 15 };
static const char *const OPERATIONS[] = {
    [10] = "ConvolutionForward", [11] = "ConvolutionBackwardFilter", [12] = "ConvolutionBackwardData",
    [13] = "Pointwise",          [19] = "Matmul",                    [22] = "Reduction",
    [25] = "ResampleForward",    [26] = "ResampleBackward",          [29] = "NormForward",
    [30] = "NormBackward",       [31] = "Reshape",
};
enum { NAMED = sizeof OPERATIONS / sizeof *OPERATIONS };

// cudnnBackendAttributeName_t.
enum {
  HEURISTIC_GRAPH = 201,
  HEURISTIC_RESULTS = 202,
  CONFIGURATION_ENGINE = 300,
  CONFIGURATION_WORKSPACE = 303,
  CONFIGURATION_SHARED_MEMORY = 304,
  PLAN_CONFIGURATION = 401,
  PLAN_WORKSPACE = 402,
  GRAPH_OPERATIONS = 801,
  GRAPH_ENGINES = 802,
  ENGINE_GRAPH = 1300,
  ENGINE_INDEX = 1301,
};

struct descriptor {
  int type;
  char operations[200];
};

int cudnnCreate(void **handle) { return standInHandle(handle); }
int cudnnSetStream(void **handle, void *stream) {
  *handle = stream;
  return SUCCESS;
}
int cudnnGetStream(void **handle, void **stream) {
  *stream = *handle;
  return SUCCESS;
}
size_t cudnnGetVersion(void) { return 91300; }
const char *cudnnGetErrorString(int status) { return "a status"; }
void cudnnGetLastErrorString(char *message, size_t size) {
  if (size) *message = 0;
}

static int give_size(size_t *place) {
  *place = 0;
  return SUCCESS;
}
int cudnnGetReductionWorkspaceSize(void *handle, void *reduction, void *a, void *c, size_t *size) {
  return give_size(size);
}
int cudnnGetReductionIndicesSize(void *handle, void *reduction, void *a, void *c, size_t *size) {
  return give_size(size);
}
int cudnnDropoutGetStatesSize(void *handle, size_t *size) { return give_size(size); }

int cudnnBackendCreateDescriptor(int type, struct descriptor **made) {
  *made = calloc(1, sizeof **made);
  (*made)->type = type;
  if (type >= 0 && type < NAMED && OPERATIONS[type]) strcpy((*made)->operations, OPERATIONS[type]);
  else if (type > 9 && type != GRAPH) sprintf((*made)->operations, "operation %d", type);
  return SUCCESS;
}
int cudnnBackendDestroyDescriptor(void *descriptor) {
  free(descriptor);
  return SUCCESS;
}

int cudnnBackendSetAttribute(struct descriptor *descriptor, int name, int type, long count,
                             struct descriptor **given) {
  char *own = descriptor->operations;
  const size_t room = sizeof descriptor->operations;
  if (name == HEURISTIC_GRAPH || name == ENGINE_GRAPH || name == CONFIGURATION_ENGINE ||
      name == PLAN_CONFIGURATION)
    strcpy(own, given[0]->operations);
  else if (name == GRAPH_OPERATIONS)
    for (long i = 0; i < count; i++)
      snprintf(own + strlen(own), room - strlen(own), "%s%s", i ? "+" : "", given[i]->operations);
  return SUCCESS;
}

int cudnnBackendGetAttribute(struct descriptor *descriptor, int name, int type, long wanted, long *count,
                             void *place) {
  long given = 1;
  switch (name) {
    case HEURISTIC_RESULTS:
    case CONFIGURATION_ENGINE:
      if (wanted > 0) strcpy((*(struct descriptor **)place)->operations, descriptor->operations);
      break;
    case CONFIGURATION_WORKSPACE:
    case PLAN_WORKSPACE:
    case ENGINE_INDEX:
      *(long *)place = 0;
      break;
    case CONFIGURATION_SHARED_MEMORY:
      *(int *)place = 0;
      break;
    case GRAPH_ENGINES:
      *(long *)place = 1;
      break;
    default:
      given = 0;
  }
  if (count) *count = given;
  return SUCCESS;
}

int cudnnBackendExecute(void **handle, struct descriptor *plan, void *pack) {
  int status = standInWork(*handle, "dnn", "cudnnBackendExecute", "%s", plan->operations);
  return status == RECORDED ? SUCCESS : status;
}
