// Answers of a file that `mttc export` wrote, for images:
//
//     ./predict [--pixels DIR] MODEL IMAGE...
//
// A line of JSON an image. What the model is, and how images must be read, stands in the file.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iostream>
#include <numeric>
#include <optional>

#include <nlohmann/json.hpp>

#include "model.hpp"

namespace {

using Json = nlohmann::ordered_json;
using mttc::Fault, mttc::Kind, mttc::Task;

// What a tag is answered from, where the file does not say it.
constexpr double threshold = 0.5;

// The tags at or over their thresholds, the most probable first, the first of equals first.
std::vector<std::string> tags_of(const Task &task, const std::vector<float> &numbers) {
  std::vector<std::size_t> order(task.count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return numbers[a] > numbers[b]; });
  std::vector<std::string> tags;
  for (const std::size_t i : order)
    if (numbers[i] >= (task.thresholds.empty() ? threshold : task.thresholds[i]))
      tags.push_back(task.names[i]);
  return tags;
}

Json answer_of(const Task &task, const std::vector<float> &numbers) {
  Json answer{{"task", task.name}, {"kind", mttc::kind_name(task.kind)}};
  if (task.kind == Kind::classes) {
    const auto best = std::max_element(numbers.begin(), numbers.end());
    answer["answer"] = task.names[static_cast<std::size_t>(best - numbers.begin())];
    if (task.unsure_below && *best < *task.unsure_below) answer["unsure"] = true;
  } else if (task.kind == Kind::tags) {
    answer["answer"] = tags_of(task, numbers);
  } else {
    answer["answer"] = numbers;
    if (!task.radius.empty()) answer["within"] = task.radius;
  }
  answer["numbers"] = numbers;
  return answer;
}

void write_pixels(const std::filesystem::path &path, const mttc::Image &image) {
  std::ofstream file(path, std::ios::binary);
  const auto pixels = image.pixels();
  file.write(reinterpret_cast<const char *>(pixels.data()), static_cast<std::streamsize>(pixels.size()));
  file.close();
  if (!file) throw Fault("E_FILE", "cannot write " + path.string());
}

void complain(const Fault &fault, const std::string &path) {
  std::cerr << "error " << fault.code() << ": " << path << (path.empty() ? "" : ": ") << fault.what() << '\n';
}

// Prints the answers for an image. Throws Fault of the model, or of the output; false: the image is at fault.
bool answer_image(const mttc::Model &model, const std::string &path, const std::optional<std::string> &pixels,
                  std::size_t number) {
  std::optional<mttc::Image> image;
  try {
    image.emplace(path, model.rules());
  } catch (const Fault &fault) {
    complain(fault, path);
    return false;
  }
  if (pixels) write_pixels(std::filesystem::path(*pixels) / (std::to_string(number) + ".raw"), *image);
  const auto numbers = model.run(*image);
  Json line{{"image", path}, {"tasks", Json::array()}};
  for (std::size_t t = 0; t < numbers.size(); t++)
    line["tasks"].push_back(answer_of(model.metadata().tasks[t], numbers[t]));
  // Paths may be of any bytes.
  std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  if (!std::cout) throw Fault("E_FILE", "cannot write the answer");
  return true;
}

int predict(std::vector<std::string> words) {
  std::optional<std::string> pixels;
  if (words.size() > 1 && words[0] == "--pixels") {
    pixels = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.size() < 2 || words[0].starts_with('-')) {
    complain(Fault("E_USAGE", "predict [--pixels DIR] MODEL IMAGE..."), "");
    return 2;
  }
  try {
    const mttc::Model model(words[0]);
    bool are_all_read = true;
    for (std::size_t i = 1; i < words.size(); i++)
      are_all_read = answer_image(model, words[i], pixels, i - 1) && are_all_read;
    return are_all_read ? 0 : 2;
  } catch (const Fault &fault) {
    complain(fault, words[0]);
  } catch (const std::bad_alloc &) {
    complain(Fault("E_ORT", "no memory"), words[0]);
  }
  return 2;
}

}  // namespace

int main(int count, char **words) {
  return predict({words + 1, words + count});
}
