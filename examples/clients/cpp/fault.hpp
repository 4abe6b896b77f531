// What is wrong with an image, a model or a command, as one of mttc's codes and a sentence.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>

namespace mttc {

class Fault : public std::runtime_error {
 public:
  // `code` is one of mttc's catalogue: E_IMG_FORMAT, E_MODEL_META, ...
  Fault(std::string code, const std::string &text)
      : std::runtime_error(plain(text)), code_(std::move(code)) {}
  const std::string &code() const noexcept { return code_; }

 private:
  // Names come from strangers' files: nothing may steer the terminal.
  static std::string plain(std::string text) {
    const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
    std::replace_if(text.begin(), text.end(), is_control, ' ');
    return text.substr(0, 512);
  }
  std::string code_;
};

}  // namespace mttc
