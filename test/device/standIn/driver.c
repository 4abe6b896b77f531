// CUDA's driver without a device.
int cuInit(unsigned flags) { return 0; }
