// A model file opened with ONNX Runtime, and what it answers for an image.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "metadata.hpp"
#include "ort.hpp"
#include "reader/reader.h"

namespace mttc {

// Pixels of 8 bits, [height, width, channels], row-major.
class Image {
 public:
  // Reads an image file by the rules. Throws Fault: E_IMG_FORMAT, E_IMG_LIMIT, E_IMG_SIZE, E_IMG_TRUNCATED,
  // E_FILE.
  Image(const std::filesystem::path &path, const mttc_rules &rules);

  std::uint32_t width() const { return image_->width; }
  std::uint32_t height() const { return image_->height; }
  std::uint32_t channels() const { return image_->channels; }
  std::span<const std::uint8_t> pixels() const;

 private:
  struct Free {
    void operator()(mttc_image *image) const;
  };
  std::unique_ptr<mttc_image, Free> image_;
};

class Model {
 public:
  // Opens a file that `mttc export` wrote. Throws Fault: E_ORT_LOAD, E_FILE, E_MODEL_PARSE, E_MODEL_META (not
  // an export, or not what its metadata says), E_IMG_FORMAT.
  explicit Model(const std::filesystem::path &path);

  const Metadata &metadata() const { return metadata_; }

  // How images must be read for the model.
  mttc_rules rules() const;

  // The numbers of each task for an image that was read by the rules. Throws Fault: E_ORT; E_MODEL_META: they
  // are not what the metadata promises.
  std::vector<std::vector<float>> run(const Image &image) const;

 private:
  ort::Owned<OrtEnv> env_;
  ort::Owned<OrtSession> session_;
  Metadata metadata_;
};

}  // namespace mttc
