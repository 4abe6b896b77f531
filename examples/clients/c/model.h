// A model file opened with ONNX Runtime's C API, and what it answers for an image.
#pragma once
#include "metadata.h"
#include "reader/reader.h"

struct model;

// Opens a file that `mttc export` wrote; NULL where that fails. ONNX Runtime is the library at
// ORT_DYLIB_PATH, else the system's. E_ORT_LOAD, E_FILE, E_MODEL_PARSE, E_MODEL_META (not an export, or not
// what its metadata says), E_IMG_FORMAT.
struct model *model_open(const char *path, struct mttc_fault *fault);

const struct metadata *model_metadata(const struct model *model);

// How images must be read for the model.
struct mttc_rules model_rules(const struct model *model);

// Runs the model on an image that was read by its rules. On success `numbers[t]` are task t's numbers, to be
// freed with free(numbers[t]). E_ORT; E_MODEL_META: the numbers are not what the metadata promises.
bool model_run(struct model *model, struct mttc_image *image, float **numbers, struct mttc_fault *fault);

void model_close(struct model *model);
