// Values of a stranger's JSON object, each checked: what is not as expected is E_MODEL_META, with its place.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "reader/fault.h"

// Parses UTF-8 text of JSON; NULL (E_MODEL_META) where it is none, or nested beyond reason.
cJSON *json_parse(const char *text, struct mttc_fault *fault);

// A member by its exact name, the last of several as JSON.parse has it; NULL where there is none.
const cJSON *json_member(const cJSON *object, const char *name);

bool json_text(const cJSON *value, const char *where, const char **text, struct mttc_fault *fault);
bool json_whole(const cJSON *value, const char *where, double least, double most, uint32_t *number,
                struct mttc_fault *fault);

// The entries of a list of `least` to `most` texts that are not empty; the caller frees the array.
bool json_texts(const cJSON *list, const char *where, size_t least, size_t most, const char ***texts,
                size_t *count, struct mttc_fault *fault);

// `count` numbers from 0 to `most`; the caller frees them.
bool json_numbers(const cJSON *list, const char *where, size_t count, double most, double **numbers,
                  struct mttc_fault *fault);

// Whether a list has `least` to `most` entries.
bool json_length(const cJSON *list, const char *where, size_t least, size_t most, size_t *count,
                 struct mttc_fault *fault);

// E_MODEL_META where two of the texts are equal.
bool json_distinct(const char *const *texts, size_t count, const char *where, struct mttc_fault *fault);
