// What is wrong with an image, a model or a command, as one of mttc's codes and a sentence.
#pragma once
#include <stdbool.h>

#if defined(__GNUC__)
#define MTTC_PRINTF __attribute__((format(printf, 3, 4)))
#else
#define MTTC_PRINTF
#endif

struct mttc_fault {
  // One of mttc's catalogue: E_IMG_FORMAT, E_MODEL_META, ... Static text.
  const char *code;
  // A sentence, cut where it is longer. Never with control characters.
  char text[512];
};

#ifdef __cplusplus
extern "C" {
#endif

// Fills `fault` and returns false, so that a function may `return mttc_refuse(...)`.
bool mttc_refuse(struct mttc_fault *fault, const char *code, const char *format, ...) MTTC_PRINTF;

#ifdef __cplusplus
}
#endif
