#include "model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace mttc {
namespace {

using ort::api, ort::check, ort::make, ort::make_text, ort::Owned;

// Probabilities, and their sum, may be off by what float16 rounds.
constexpr double slack = 0.01;

[[noreturn]] void refuse(const std::string &text) {
  throw Fault("E_MODEL_META", text);
}

// Whether a type is a tensor of those elements and sizes. A size below 0 fits any, on either side.
bool is_tensor(const OrtTypeInfo &type, ONNXTensorElementDataType element,
               std::span<const std::int64_t> sizes) {
  const OrtTensorTypeAndShapeInfo *tensor = nullptr;
  check(api().CastTypeInfoToTensorInfo(&type, &tensor));
  if (tensor == nullptr) return false;
  ONNXTensorElementDataType found_element;
  check(api().GetTensorElementType(tensor, &found_element));
  std::size_t rank = 0;
  check(api().GetDimensionsCount(tensor, &rank));
  if (found_element != element || rank != sizes.size()) return false;
  std::vector<std::int64_t> found(rank);
  check(api().GetDimensions(tensor, found.data(), rank));
  const auto fits = [](std::int64_t a, std::int64_t b) { return a < 0 || b < 0 || a == b; };
  return std::equal(found.begin(), found.end(), sizes.begin(), fits);
}

void check_input(const OrtSession *session, const Metadata &metadata) {
  std::size_t count = 0;
  check(api().SessionGetInputCount(session, &count));
  const auto name = [&](OrtAllocator *allocator, char **out) {
    return api().SessionGetInputName(session, 0, allocator, out);
  };
  if (count != 1 || make_text(name).text != "image")
    refuse("expected one input \"image\", the file has " + std::to_string(count) + " inputs");
  const auto type =
      make<OrtTypeInfo>([&](OrtTypeInfo **out) { return api().SessionGetInputTypeInfo(session, 0, out); });
  const std::int64_t height = metadata.any_size ? -1 : std::int64_t{metadata.height};
  const std::int64_t width = metadata.any_size ? -1 : std::int64_t{metadata.width};
  const std::array<std::int64_t, 4> sizes{1, height, width, metadata.channels};
  if (!is_tensor(*type, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, sizes))
    refuse("input \"image\" is not what the metadata says: uint8 of its height, width and channels");
}

std::vector<std::string> output_names(const OrtSession *session) {
  std::size_t count = 0;
  check(api().SessionGetOutputCount(session, &count));
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; i++)
    names.push_back(make_text([&](OrtAllocator *allocator, char **out) {
                      return api().SessionGetOutputName(session, i, allocator, out);
                    }).text);
  return names;
}

void check_output(const OrtSession *session, const std::vector<std::string> &names, const Task &task) {
  const auto found = std::find(names.begin(), names.end(), task.output);
  if (found == names.end())
    refuse("there is no output \"" + task.output + "\" of task \"" + task.name + "\"");
  const auto type = make<OrtTypeInfo>([&](OrtTypeInfo **out) {
    return api().SessionGetOutputTypeInfo(session, static_cast<std::size_t>(found - names.begin()), out);
  });
  const std::array sizes{std::int64_t{1}, static_cast<std::int64_t>(task.count)};
  if (!is_tensor(*type, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, sizes))
    refuse("output \"" + task.output + "\" is not what the metadata says: float32 [1," +
           std::to_string(task.count) + "]");
}

Metadata metadata_of(const OrtSession *session) {
  const auto props = make<OrtModelMetadata>(
      [&](OrtModelMetadata **out) { return api().SessionGetModelMetadata(session, out); });
  const ort::Text text = make_text([&](OrtAllocator *allocator, char **out) {
    return api().ModelMetadataLookupCustomMetadataMap(props.get(), allocator, metadata_key, out);
  });
  if (!text.exists) refuse("the file has no metadata \"mttc\": it is no whole model that mttc export wrote");
  return read_metadata(text.text);
}

// What must hold of the numbers of a task.
void check_numbers(const Task &task, const std::vector<float> &numbers) {
  const bool are_shares = task.kind != Kind::number;
  const auto is_sound = [&](float number) {
    return std::isfinite(number) && (!are_shares || (number >= -slack && number <= 1 + slack));
  };
  if (!std::all_of(numbers.begin(), numbers.end(), is_sound))
    refuse("the model gives numbers for task \"" + task.name + "\" that are no " +
           (are_shares ? "probabilities" : "numbers"));
  const double sum = std::accumulate(numbers.begin(), numbers.end(), 0.0);
  if (task.kind == Kind::classes && std::abs(sum - 1) > slack)
    refuse("the model gives probabilities for task \"" + task.name + "\" that sum to " + std::to_string(sum));
}

std::vector<float> numbers_of(const Task &task, OrtValue *value) {
  const auto type = make<OrtTypeInfo>([&](OrtTypeInfo **out) { return api().GetTypeInfo(value, out); });
  const std::array sizes{std::int64_t{1}, static_cast<std::int64_t>(task.count)};
  if (!is_tensor(*type, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, sizes))
    refuse("output \"" + task.output + "\" is of another size than the metadata says");
  void *data = nullptr;
  check(api().GetTensorMutableData(value, &data));
  const auto *first = static_cast<const float *>(data);
  std::vector<float> numbers(first, first + task.count);
  check_numbers(task, numbers);
  return numbers;
}

}  // namespace

Image::Image(const std::filesystem::path &path, const mttc_rules &rules) : image_(new mttc_image{}) {
  mttc_fault fault;
  if (!mttc_read_image_file(path.c_str(), &rules, image_.get(), &fault)) throw Fault(fault.code, fault.text);
}

std::span<const std::uint8_t> Image::pixels() const {
  return {image_->data, std::size_t{image_->height} * image_->width * image_->channels};
}

void Image::Free::operator()(mttc_image *image) const {
  mttc_image_free(image);
  delete image;
}

Model::Model(const std::filesystem::path &path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status))
    throw Fault("E_FILE", "cannot read the model: " + error.message());
  if (!std::filesystem::is_regular_file(status))
    throw Fault("E_PATH_TYPE", "expected an ONNX file, found none");
  env_ = make<OrtEnv>([](OrtEnv **out) { return api().CreateEnv(ORT_LOGGING_LEVEL_FATAL, "mttc", out); });
  check(api().DisableTelemetryEvents(env_.get()));
  const auto options =
      make<OrtSessionOptions>([](OrtSessionOptions **out) { return api().CreateSessionOptions(out); });
  session_ = make<OrtSession>(
      [&](OrtSession **out) { return api().CreateSession(env_.get(), path.c_str(), options.get(), out); },
      "E_MODEL_PARSE");
  metadata_ = metadata_of(session_.get());
  check_input(session_.get(), metadata_);
  const std::vector<std::string> names = output_names(session_.get());
  for (const Task &task : metadata_.tasks) check_output(session_.get(), names, task);
}

mttc_rules Model::rules() const {
  return {.width = metadata_.width,
          .height = metadata_.height,
          .resize = !metadata_.any_size,
          .channels = metadata_.channels,
          .grey = metadata_.grey,
          .cmyk = metadata_.cmyk ? metadata_.cmyk->data() : nullptr};
}

std::vector<std::vector<float>> Model::run(const Image &image) const {
  const auto memory = make<OrtMemoryInfo>([](OrtMemoryInfo **out) {
    return api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, out);
  });
  const std::array<std::int64_t, 4> shape{1, image.height(), image.width(), image.channels()};
  // ONNX Runtime only reads its inputs.
  auto *pixels = const_cast<std::uint8_t *>(image.pixels().data());
  const auto input = make<OrtValue>([&](OrtValue **out) {
    return api().CreateTensorWithDataAsOrtValue(memory.get(), pixels, image.pixels().size(), shape.data(),
                                                shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, out);
  });
  std::vector<const char *> names;
  for (const Task &task : metadata_.tasks) names.push_back(task.output.c_str());
  const char *input_name = "image";
  const OrtValue *inputs[] = {input.get()};
  std::vector<OrtValue *> outputs(names.size());
  OrtStatus *status =
      api().Run(session_.get(), nullptr, &input_name, inputs, 1, names.data(), names.size(), outputs.data());
  std::vector<Owned<OrtValue>> owned(outputs.begin(), outputs.end());
  check(status);
  std::vector<std::vector<float>> numbers;
  for (std::size_t t = 0; t < owned.size(); t++)
    numbers.push_back(numbers_of(metadata_.tasks[t], owned[t].get()));
  return numbers;
}

}  // namespace mttc
