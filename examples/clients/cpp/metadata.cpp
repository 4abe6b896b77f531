#include "metadata.hpp"

#include <cmath>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "fault.hpp"

namespace mttc {
namespace {

using Json = nlohmann::json;

constexpr double newest_version = 3, newest_reading = 1, max_side = 65536, max_channels = 16;
// Numbers of an image.
constexpr std::uint64_t max_numbers = std::uint64_t{1} << 28;
constexpr std::size_t max_tasks = 1000, max_classes = 1'000'000, max_tags = 10'000, max_values = 1000;
// Bytes of metadata: a million class names of 64 letters.
constexpr std::size_t max_bytes = std::size_t{64} << 20;

[[noreturn]] void refuse(const std::string &text) {
  throw Fault("E_MODEL_META", text);
}

// A value of the tree and where it lies, for messages.
class Value {
 public:
  Value(const Json *json, std::string where) : json_(json), where_(std::move(where)) {}

  const std::string &where() const { return where_; }
  bool exists() const { return json_ != nullptr; }

  // A member; one that is not there does not exist. The value has to be an object.
  Value operator[](const char *key) const {
    if (!exists() || !json_->is_object()) refuse(where_ + " is no object");
    const auto member = json_->find(key);
    return {member == json_->end() ? nullptr : &*member, where_.empty() ? key : where_ + "." + key};
  }

  std::string text() const {
    if (!exists() || !json_->is_string() || json_->get_ref<const std::string &>().empty())
      refuse(where_ + " is no text");
    return json_->get<std::string>();
  }

  bool is(std::string_view wanted) const {
    return exists() && json_->is_string() && json_->get_ref<const std::string &>() == wanted;
  }

  bool flag() const {
    if (!exists() || !json_->is_boolean()) refuse(where_ + " is neither true nor false");
    return json_->get<bool>();
  }

  double number(double least, double most) const {
    const double found =
        exists() && json_->is_number() ? json_->get<double>() : std::numeric_limits<double>::quiet_NaN();
    if (!(found >= least && found <= most)) refuse(where_ + " is no number in its bounds");
    return found;
  }

  std::uint32_t whole(double least, double most) const {
    const double found = number(least, most);
    if (std::floor(found) != found) refuse(where_ + " is no whole number");
    return static_cast<std::uint32_t>(found);
  }

  std::vector<Value> list(std::size_t least, std::size_t most) const {
    if (!exists() || !json_->is_array()) refuse(where_ + " is no list");
    if (json_->size() < least || json_->size() > most)
      refuse(where_ + " has " + std::to_string(json_->size()) + " entries");
    std::vector<Value> entries;
    entries.reserve(json_->size());
    for (const Json &entry : *json_)
      entries.emplace_back(&entry, where_ + "[" + std::to_string(entries.size()) + "]");
    return entries;
  }

  // Texts, each there once.
  std::vector<std::string> names(std::size_t most) const {
    std::vector<std::string> texts;
    std::set<std::string> seen;
    for (const Value &entry : list(1, most)) {
      texts.push_back(entry.text());
      if (!seen.insert(texts.back()).second) refuse(where_ + ": \"" + texts.back() + "\" is there twice");
    }
    return texts;
  }

  std::vector<double> numbers(std::size_t count, double most) const {
    std::vector<double> found;
    for (const Value &entry : list(count, count)) found.push_back(entry.number(0, most));
    return found;
  }

 private:
  const Json *json_;
  std::string where_;
};

Kind read_kind(const Value &value) {
  if (!value.exists()) return Kind::classes;
  for (const Kind kind : {Kind::classes, Kind::tags, Kind::number})
    if (value.is(kind_name(kind))) return kind;
  refuse(value.where() + " is not known");
}

void read_classes(const Value &entry, Task &task) {
  task.names = entry["classes"].names(max_classes);
  task.count = task.names.size();
  if (entry["unsure"].exists()) task.unsure_below = entry["unsure"]["below"].number(0, 1);
}

void read_tags(const Value &entry, Task &task) {
  task.names = entry["tags"].names(max_tags);
  task.count = task.names.size();
  if (entry["thresholds"].exists()) task.thresholds = entry["thresholds"].numbers(task.count, 1);
}

void read_number(const Value &entry, Task &task) {
  task.count = entry["mean"].list(1, max_values).size();
  const Value interval = entry["interval"];
  if (interval.exists())
    task.radius = interval["radius"].numbers(task.count, std::numeric_limits<double>::max());
}

Task read_task(const Value &entry) {
  Task task;
  task.name = entry["name"].text();
  task.output = entry["output"].text();
  task.kind = read_kind(entry["kind"]);
  switch (task.kind) {
    case Kind::classes:
      read_classes(entry, task);
      break;
    case Kind::tags:
      read_tags(entry, task);
      break;
    case Kind::number:
      read_number(entry, task);
      break;
  }
  return task;
}

std::vector<Task> read_tasks(const Value &list) {
  std::vector<Task> tasks;
  std::set<std::string> names, outputs;
  for (const Value &entry : list.list(1, max_tasks)) {
    tasks.push_back(read_task(entry));
    if (!names.insert(tasks.back().name).second) refuse("two tasks are called \"" + tasks.back().name + "\"");
    if (!outputs.insert(tasks.back().output).second)
      refuse("two tasks have the output \"" + tasks.back().output + "\"");
  }
  return tasks;
}

void read_preprocessing(const Value &rules, Metadata &metadata) {
  metadata.height = rules["height"].whole(1, max_side);
  metadata.width = rules["width"].whole(1, max_side);
  metadata.channels = rules["channels"].whole(1, max_channels);
  metadata.grey = rules["greyscale"].flag();
  if (std::uint64_t{metadata.height} * metadata.width * metadata.channels > max_numbers)
    refuse("images of that height, width and channels are beyond any memory");
  if (!rules["layout"].is("NHWC")) refuse("preprocessing.layout is not \"NHWC\"");
  metadata.any_size = rules["resize"].exists();
  if (metadata.any_size && !rules["resize"].is("graph")) refuse("preprocessing.resize is not \"graph\"");
  if (rules["dtype"].is("uint16") || rules["dtype"].is("float32"))
    throw Fault("E_IMG_FORMAT", "a model of images of more than 8 bits is not run here");
  if (!rules["dtype"].is("uint8")) refuse("preprocessing.dtype is not known");
  if (metadata.channels != 1 && metadata.channels != 3)
    throw Fault("E_IMG_FORMAT", "a model of other than 1 or 3 channels is not run here");
}

void read_reading(const Value &reading, Metadata &metadata) {
  reading["version"].whole(1, newest_reading);
  if (!reading["cmyk"].exists()) return;
  if (!mttc_cmyk_grid(reading["cmyk"].text().c_str(), metadata.cmyk.emplace().data()))
    refuse("reading.cmyk is no grid of colours in base64");
}

}  // namespace

const char *kind_name(Kind kind) {
  return kind == Kind::classes ? "classes" : kind == Kind::tags ? "tags" : "number";
}

Metadata read_metadata(std::string_view text) {
  if (text.size() > max_bytes) refuse("the metadata has over 64 MiB");
  // The parser keeps its own stack: lists in each other cost no recursion.
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) refuse("the metadata is not JSON");
  const Value root(&json, "");
  if (!root["format"].is("mttc-model")) refuse("format is not \"mttc-model\"");
  root["version"].whole(1, newest_version);
  if (!root["kind"].is("model") && !root["kind"].is("task"))
    refuse("kind is neither \"model\" nor \"task\": parts of a split export are not run");
  Metadata metadata;
  if (root["reading"].exists()) read_reading(root["reading"], metadata);
  metadata.tasks = read_tasks(root["tasks"]);
  read_preprocessing(root["preprocessing"], metadata);
  return metadata;
}

}  // namespace mttc
