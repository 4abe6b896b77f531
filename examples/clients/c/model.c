#include "model.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <onnxruntime_c_api.h>

// The oldest version of the C API that has all that is called here; newer libraries serve it.
#define NEEDED_API 11
#define SYSTEM_LIBRARY "libonnxruntime.so.1"
// Probabilities, and their sum, may be off by what float16 rounds.
#define SLACK 0.01

struct model {
  const OrtApi *ort;
  OrtEnv *env;
  OrtSession *session;
  OrtAllocator *allocator;
  OrtMemoryInfo *memory;
  struct metadata metadata;
};

// Whether the call went well; else its message is the fault.
static bool is_ok(const OrtApi *ort, OrtStatus *status, const char *code, struct mttc_fault *fault) {
  if (status == NULL) return true;
  mttc_refuse(fault, code, "%s", ort->GetErrorMessage(status));
  ort->ReleaseStatus(status);
  return false;
}

static const OrtApi *load_runtime(struct mttc_fault *fault) {
  // Telemetry would write into the home folder; whoever wants it sets the variable to 0.
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
  const char *path = getenv("ORT_DYLIB_PATH");
  void *library = dlopen(path != NULL && path[0] != '\0' ? path : SYSTEM_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  void *symbol = library == NULL ? NULL : dlsym(library, "OrtGetApiBase");
  if (symbol == NULL) {
    mttc_refuse(fault, "E_ORT_LOAD", "%s; ORT_DYLIB_PATH names ONNX Runtime's library", dlerror());
    return NULL;
  }
  const OrtApiBase *(*base)(void);
  memcpy(&base, &symbol, sizeof base);
  const OrtApi *ort = base()->GetApi(NEEDED_API);
  if (ort == NULL) mttc_refuse(fault, "E_ORT_LOAD", "ONNX Runtime %s is too old", base()->GetVersionString());
  return ort;
}

static bool open_session(struct model *model, const char *path, struct mttc_fault *fault) {
  const OrtApi *ort = model->ort;
  struct stat found;
  if (stat(path, &found) != 0)
    return mttc_refuse(fault, "E_FILE", "cannot read the model: %s", strerror(errno));
  if (!S_ISREG(found.st_mode)) return mttc_refuse(fault, "E_PATH_TYPE", "expected an ONNX file, found none");
  OrtSessionOptions *options = NULL;
  if (!is_ok(ort, ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "mttc", &model->env), "E_ORT", fault) ||
      !is_ok(ort, ort->DisableTelemetryEvents(model->env), "E_ORT", fault) ||
      !is_ok(ort, ort->CreateSessionOptions(&options), "E_ORT", fault))
    return false;
  const bool is_open =
      is_ok(ort, ort->CreateSession(model->env, path, options, &model->session), "E_MODEL_PARSE", fault);
  ort->ReleaseSessionOptions(options);
  return is_open && is_ok(ort, ort->GetAllocatorWithDefaultOptions(&model->allocator), "E_ORT", fault) &&
         is_ok(ort, ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &model->memory), "E_ORT",
               fault);
}

static bool read_metadata(struct model *model, struct mttc_fault *fault) {
  const OrtApi *ort = model->ort;
  OrtModelMetadata *props = NULL;
  char *text = NULL;
  if (!is_ok(ort, ort->SessionGetModelMetadata(model->session, &props), "E_ORT", fault)) return false;
  bool is_read =
      is_ok(ort, ort->ModelMetadataLookupCustomMetadataMap(props, model->allocator, METADATA_KEY, &text),
            "E_ORT", fault);
  ort->ReleaseModelMetadata(props);
  if (is_read && text == NULL)
    is_read = mttc_refuse(fault, "E_MODEL_META",
                          "the file has no metadata \"" METADATA_KEY
                          "\": it is no whole model that mttc export wrote");
  else if (is_read)
    is_read = metadata_read(text, &model->metadata, fault);
  if (text != NULL) model->allocator->Free(model->allocator, text);
  return is_read;
}

// Whether a type is a tensor of those elements and sizes. A size below 0 fits any, on either side.
static bool is_tensor(const OrtApi *ort, OrtTypeInfo *type, ONNXTensorElementDataType element,
                      const int64_t *sizes, size_t rank) {
  const OrtTensorTypeAndShapeInfo *tensor = NULL;
  ONNXTensorElementDataType found_element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  size_t found_rank = 0;
  int64_t found[4];
  struct mttc_fault ignored;
  bool fits = is_ok(ort, ort->CastTypeInfoToTensorInfo(type, &tensor), "E_ORT", &ignored) && tensor != NULL &&
              is_ok(ort, ort->GetTensorElementType(tensor, &found_element), "E_ORT", &ignored) &&
              is_ok(ort, ort->GetDimensionsCount(tensor, &found_rank), "E_ORT", &ignored) &&
              found_element == element && found_rank == rank && rank <= 4 &&
              is_ok(ort, ort->GetDimensions(tensor, found, rank), "E_ORT", &ignored);
  for (size_t i = 0; fits && i < rank; i++) fits = found[i] < 0 || sizes[i] < 0 || found[i] == sizes[i];
  ort->ReleaseTypeInfo(type);
  return fits;
}

// Whether the session's input or output of that number has the name.
static bool is_named(struct model *model, bool is_input, size_t number, const char *name) {
  const OrtApi *ort = model->ort;
  char *found = NULL;
  OrtStatus *status = is_input ? ort->SessionGetInputName(model->session, number, model->allocator, &found)
                               : ort->SessionGetOutputName(model->session, number, model->allocator, &found);
  struct mttc_fault ignored;
  const bool is_same = is_ok(ort, status, "E_ORT", &ignored) && strcmp(found, name) == 0;
  if (found != NULL) model->allocator->Free(model->allocator, found);
  return is_same;
}

static bool check_input(struct model *model, struct mttc_fault *fault) {
  const OrtApi *ort = model->ort;
  const struct metadata *metadata = &model->metadata;
  size_t count = 0;
  OrtTypeInfo *type = NULL;
  if (!is_ok(ort, ort->SessionGetInputCount(model->session, &count), "E_ORT", fault)) return false;
  if (count != 1 || !is_named(model, true, 0, "image"))
    return mttc_refuse(fault, "E_MODEL_META", "expected one input \"image\", the file has %zu inputs", count);
  if (!is_ok(ort, ort->SessionGetInputTypeInfo(model->session, 0, &type), "E_ORT", fault)) return false;
  int64_t sizes[] = {1, metadata->height, metadata->width, metadata->channels};
  if (metadata->any_size) sizes[1] = sizes[2] = -1;
  if (is_tensor(ort, type, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, sizes, 4)) return true;
  return mttc_refuse(fault, "E_MODEL_META",
                     "input \"image\" is not what the metadata says: uint8 [1,%u,%u,%u]", metadata->height,
                     metadata->width, metadata->channels);
}

static bool check_output(struct model *model, const struct task *task, struct mttc_fault *fault) {
  const OrtApi *ort = model->ort;
  size_t count = 0, number = 0;
  OrtTypeInfo *type = NULL;
  if (!is_ok(ort, ort->SessionGetOutputCount(model->session, &count), "E_ORT", fault)) return false;
  while (number < count && !is_named(model, false, number, task->output)) number++;
  if (number == count)
    return mttc_refuse(fault, "E_MODEL_META", "there is no output \"%.100s\" of task \"%.100s\"",
                       task->output, task->name);
  if (!is_ok(ort, ort->SessionGetOutputTypeInfo(model->session, number, &type), "E_ORT", fault)) return false;
  const int64_t sizes[] = {1, (int64_t)task->count};
  if (is_tensor(ort, type, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, sizes, 2)) return true;
  return mttc_refuse(fault, "E_MODEL_META",
                     "output \"%.100s\" is not what the metadata says: float32 [1,%zu]", task->output,
                     task->count);
}

struct model *model_open(const char *path, struct mttc_fault *fault) {
  struct model *model = calloc(1, sizeof *model);
  if (model == NULL) {
    mttc_refuse(fault, "E_ORT", "no memory");
    return NULL;
  }
  model->ort = load_runtime(fault);
  bool is_open = model->ort != NULL && open_session(model, path, fault) && read_metadata(model, fault) &&
                 check_input(model, fault);
  for (size_t t = 0; is_open && t < model->metadata.task_count; t++)
    is_open = check_output(model, &model->metadata.tasks[t], fault);
  if (is_open) return model;
  model_close(model);
  return NULL;
}

const struct metadata *model_metadata(const struct model *model) {
  return &model->metadata;
}

struct mttc_rules model_rules(const struct model *model) {
  const struct metadata *metadata = &model->metadata;
  return (struct mttc_rules){.width = metadata->width,
                             .height = metadata->height,
                             .resize = !metadata->any_size,
                             .channels = metadata->channels,
                             .grey = metadata->grey,
                             .cmyk = metadata->has_cmyk ? metadata->cmyk : NULL};
}

// What must hold of the numbers of a task of that kind.
static bool check_numbers(const struct task *task, const float *numbers, struct mttc_fault *fault) {
  double sum = 0;
  for (size_t i = 0; i < task->count; i++) {
    sum += numbers[i];
    const bool is_share = task->kind != KIND_NUMBER;
    if (!isfinite(numbers[i]) || (is_share && !(numbers[i] >= -SLACK && numbers[i] <= 1 + SLACK)))
      return mttc_refuse(fault, "E_MODEL_META", "the model gives %g for task \"%.100s\", which is no %s",
                         (double)numbers[i], task->name, is_share ? "probability" : "number");
  }
  if (task->kind != KIND_CLASSES || fabs(sum - 1) <= SLACK) return true;
  return mttc_refuse(fault, "E_MODEL_META",
                     "the model gives probabilities that sum to %g for task \"%.100s\"", sum, task->name);
}

// A copy of the float32 numbers of an output.
static bool copy_numbers(const OrtApi *ort, const struct task *task, OrtValue *value, float **numbers,
                         struct mttc_fault *fault) {
  OrtTypeInfo *type = NULL;
  void *data = NULL;
  const int64_t sizes[] = {1, (int64_t)task->count};
  if (!is_ok(ort, ort->GetTypeInfo(value, &type), "E_ORT", fault)) return false;
  if (!is_tensor(ort, type, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, sizes, 2))
    return mttc_refuse(fault, "E_MODEL_META", "output \"%.100s\" is of another size than float32 [1,%zu]",
                       task->output, task->count);
  if (!is_ok(ort, ort->GetTensorMutableData(value, &data), "E_ORT", fault)) return false;
  if (!check_numbers(task, data, fault)) return false;
  *numbers = malloc(task->count * sizeof **numbers);
  if (*numbers == NULL) return mttc_refuse(fault, "E_ORT", "no memory for the answer");
  memcpy(*numbers, data, task->count * sizeof **numbers);
  return true;
}

bool model_run(struct model *model, struct mttc_image *image, float **numbers, struct mttc_fault *fault) {
  const OrtApi *ort = model->ort;
  const size_t count = model->metadata.task_count;
  const int64_t shape[] = {1, image->height, image->width, image->channels};
  const size_t bytes = (size_t)image->height * image->width * image->channels;
  const char **names = calloc(count, sizeof *names), *input_names[] = {"image"};
  OrtValue **outputs = calloc(count, sizeof *outputs), *input = NULL;
  bool is_run = names != NULL && outputs != NULL;
  if (!is_run) mttc_refuse(fault, "E_ORT", "no memory");
  for (size_t t = 0; is_run && t < count; t++) names[t] = model->metadata.tasks[t].output;
  is_run = is_run && is_ok(ort,
                           ort->CreateTensorWithDataAsOrtValue(model->memory, image->data, bytes, shape, 4,
                                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &input),
                           "E_ORT", fault);
  is_run = is_run && is_ok(ort,
                           ort->Run(model->session, NULL, input_names, (const OrtValue *const *)&input, 1,
                                    names, count, outputs),
                           "E_ORT", fault);
  for (size_t t = 0; t < count; t++) numbers[t] = NULL;
  for (size_t t = 0; is_run && t < count; t++)
    is_run = copy_numbers(ort, &model->metadata.tasks[t], outputs[t], &numbers[t], fault);
  for (size_t t = 0; t < count; t++) {
    if (!is_run) free(numbers[t]);
    if (outputs != NULL && outputs[t] != NULL) ort->ReleaseValue(outputs[t]);
  }
  if (input != NULL) ort->ReleaseValue(input);
  free(names);
  free(outputs);
  return is_run;
}

void model_close(struct model *model) {
  if (model->ort != NULL) {
    if (model->memory != NULL) model->ort->ReleaseMemoryInfo(model->memory);
    if (model->session != NULL) model->ort->ReleaseSession(model->session);
    if (model->env != NULL) model->ort->ReleaseEnv(model->env);
  }
  metadata_free(&model->metadata);
  free(model);
}
