// Answers of a file that `mttc export` wrote, for images:
//
//     ./predict [--pixels DIR] MODEL IMAGE...
//
// A line of JSON an image. What the model is, and how images must be read, stands in the file.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "model.h"

// What a tag is answered from, where the file does not say it.
#define THRESHOLD 0.5

static int complain(const struct mttc_fault *fault, const char *path) {
  fprintf(stderr, "error %s: %s%s%s\n", fault->code, path, path[0] != '\0' ? ": " : "", fault->text);
  return 2;
}

static size_t first_of_largest(const float *numbers, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; i++)
    if (numbers[i] > numbers[best]) best = i;
  return best;
}

// The tags at or over their thresholds, the most probable first, the first of equals first.
static cJSON *tags_answer(const struct task *task, const float *numbers) {
  cJSON *tags = cJSON_CreateArray();
  bool *is_given = calloc(task->count, sizeof *is_given);
  if (is_given == NULL) return tags;
  for (size_t i = 0; i < task->count; i++)
    is_given[i] = numbers[i] >= (task->thresholds != NULL ? task->thresholds[i] : THRESHOLD);
  for (;;) {
    size_t best = task->count;
    for (size_t i = 0; i < task->count; i++)
      if (is_given[i] && (best == task->count || numbers[i] > numbers[best])) best = i;
    if (best == task->count) break;
    is_given[best] = false;
    cJSON_AddItemToArray(tags, cJSON_CreateString(task->names[best]));
  }
  free(is_given);
  return tags;
}

static cJSON *task_answer(const struct task *task, const float *numbers) {
  cJSON *answer = cJSON_CreateObject();
  const int count = (int)task->count;
  cJSON_AddStringToObject(answer, "task", task->name);
  cJSON_AddStringToObject(answer, "kind", kind_name(task->kind));
  if (task->kind == KIND_CLASSES) {
    const size_t best = first_of_largest(numbers, task->count);
    cJSON_AddStringToObject(answer, "answer", task->names[best]);
    if (numbers[best] < task->unsure_below) cJSON_AddTrueToObject(answer, "unsure");
  } else if (task->kind == KIND_TAGS) {
    cJSON_AddItemToObject(answer, "answer", tags_answer(task, numbers));
  } else {
    cJSON_AddItemToObject(answer, "answer", cJSON_CreateFloatArray(numbers, count));
    if (task->radius != NULL)
      cJSON_AddItemToObject(answer, "within", cJSON_CreateDoubleArray(task->radius, count));
  }
  cJSON_AddItemToObject(answer, "numbers", cJSON_CreateFloatArray(numbers, count));
  return answer;
}

static bool print_answers(const char *path, const struct metadata *metadata, float *const *numbers,
                          struct mttc_fault *fault) {
  cJSON *line = cJSON_CreateObject();
  cJSON_AddStringToObject(line, "image", path);
  cJSON *tasks = cJSON_AddArrayToObject(line, "tasks");
  for (size_t t = 0; t < metadata->task_count; t++)
    cJSON_AddItemToArray(tasks, task_answer(&metadata->tasks[t], numbers[t]));
  char *text = cJSON_PrintUnformatted(line);
  cJSON_Delete(line);
  if (text == NULL) return mttc_refuse(fault, "E_FILE", "no memory for the answer");
  const bool is_written = puts(text) >= 0 && fflush(stdout) == 0;
  cJSON_free(text);
  return is_written || mttc_refuse(fault, "E_FILE", "cannot write the answer: %s", strerror(errno));
}

static bool write_pixels(const char *folder, int number, const struct mttc_image *image,
                         struct mttc_fault *fault) {
  char path[4096];
  const int length = snprintf(path, sizeof path, "%s/%d.raw", folder, number);
  FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "wb") : NULL;
  const size_t bytes = (size_t)image->height * image->width * image->channels;
  bool is_written = file != NULL && fwrite(image->data, 1, bytes, file) == bytes;
  if (file != NULL && fclose(file) != 0) is_written = false;
  return is_written || mttc_refuse(fault, "E_FILE", "cannot write %s: %s", path, strerror(errno));
}

// Reads an image and prints its answers. False stops the run: `fault` is of the model, or of the output.
static bool answer_image(struct model *model, const char *path, const char *pixels, int number, int *status,
                         struct mttc_fault *fault) {
  const struct mttc_rules rules = model_rules(model);
  const struct metadata *metadata = model_metadata(model);
  struct mttc_image image;
  if (!mttc_read_image_file(path, &rules, &image, fault)) {
    *status = complain(fault, path);
    return true;
  }
  float **numbers = calloc(metadata->task_count, sizeof *numbers);
  bool is_answered = numbers != NULL || mttc_refuse(fault, "E_ORT", "no memory");
  is_answered = is_answered && (pixels == NULL || write_pixels(pixels, number, &image, fault)) &&
                model_run(model, &image, numbers, fault);
  if (is_answered) {
    is_answered = print_answers(path, metadata, numbers, fault);
    for (size_t t = 0; t < metadata->task_count; t++) free(numbers[t]);
  }
  free(numbers);
  mttc_image_free(&image);
  return is_answered;
}

int main(int count, char **words) {
  struct mttc_fault fault;
  const char *pixels = NULL;
  int at = 1;
  if (count > 2 && strcmp(words[1], "--pixels") == 0) {
    pixels = words[2];
    at = 3;
  }
  if (count - at < 2 || words[at][0] == '-') {
    mttc_refuse(&fault, "E_USAGE", "predict [--pixels DIR] MODEL IMAGE...");
    return complain(&fault, "");
  }
  const char *path = words[at];
  struct model *model = model_open(path, &fault);
  if (model == NULL) return complain(&fault, path);
  int status = 0;
  for (int i = at + 1; i < count; i++)
    if (!answer_image(model, words[i], pixels, i - at - 1, &status, &fault)) {
      status = complain(&fault, path);
      break;
    }
  model_close(model);
  return status;
}
