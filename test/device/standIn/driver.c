// CUDA's driver without a device: what `mttc doctor` and autotuning ask of it.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };

int cuInit(unsigned flags) { return SUCCESS; }

int cuDriverGetVersion(int *version) {
  *version = 13000;
  return SUCCESS;
}

int cuDeviceGetCount(int *count) {
  const char *wanted = getenv("MTTC_TEST_DEVICES");
  *count = wanted ? atoi(wanted) : 1;
  return SUCCESS;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return SUCCESS;
}

int cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, "no device", length);
  return SUCCESS;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = (size_t)80 << 30;
  return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == CAPABILITY_MAJOR ? 9 : attribute == CAPABILITY_MINOR ? 0 : 1;
  return SUCCESS;
}

// MTTC_TEST_UUID tells devices of one number apart that processes see of their own.
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
  const char *own = getenv("MTTC_TEST_UUID");
  memset(uuid, own ? own[0] : 'x', 15);
  uuid[15] = device;
  return SUCCESS;
}
