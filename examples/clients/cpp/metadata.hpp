// What a file that `mttc export` wrote says of itself: size and reading of its images, tasks, class names. A
// model may come from anybody, so that nothing of it is believed before it is checked here.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reader/reader.h"

namespace mttc {

enum class Kind { classes, tags, number };

struct Task {
  std::string name;
  // Name of the output, float32 [1, count].
  std::string output;
  Kind kind = Kind::classes;
  // How many numbers the task answers with.
  std::size_t count = 0;
  // Of its classes or tags; empty for numbers.
  std::vector<std::string> names;
  // The probability from which on each tag is answered; empty: a half.
  std::vector<double> thresholds;
  // Round each number the interval that holds the truth nine times of ten; empty where none was fitted.
  std::vector<double> radius;
  // The probability below which a class is better left open.
  std::optional<double> unsure_below;
};

struct Metadata {
  std::vector<Task> tasks;
  // Of the model's images, uint8 [1, height, width, channels].
  std::uint32_t height = 0, width = 0, channels = 0;
  // Whether colours become grey.
  bool grey = false;
  // Whether the graph takes images of every size, and resizes itself.
  bool any_size = false;
  // What CMYK without a profile becomes (mttc_rules), where the file says it.
  std::optional<std::array<std::uint8_t, MTTC_CMYK_BYTES>> cmyk;
};

// Key of the model's metadata_props.
inline constexpr const char *metadata_key = "mttc";

// Reads the JSON text. Throws Fault: E_MODEL_META where it is not what a whole model says, E_IMG_FORMAT for
// pixels that this client does not read (16 bits, other than 1 or 3 channels).
Metadata read_metadata(std::string_view text);

// "classes", "tags" or "number".
const char *kind_name(Kind kind);

}  // namespace mttc
