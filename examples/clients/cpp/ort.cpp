#include "ort.hpp"

#include <cstdlib>
#include <dlfcn.h>

namespace mttc::ort {
namespace {

// The oldest version of the C API that has all that is called; newer libraries serve it.
constexpr std::uint32_t needed_api = 11;

const OrtApi *load() {
  // Telemetry would write into the home folder; whoever wants it sets the variable to 0.
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
  const char *named = std::getenv("ORT_DYLIB_PATH");
  const std::string path = named != nullptr && *named != '\0' ? named : "libonnxruntime.so.1";
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *symbol = library == nullptr ? nullptr : dlsym(library, "OrtGetApiBase");
  if (symbol == nullptr)
    throw Fault("E_ORT_LOAD", std::string(dlerror()) + "; ORT_DYLIB_PATH names ONNX Runtime's library");
  const OrtApiBase *base = reinterpret_cast<const OrtApiBase *(*)()>(symbol)();
  const OrtApi *api = base->GetApi(needed_api);
  if (api == nullptr)
    throw Fault("E_ORT_LOAD", std::string("too old: ONNX Runtime ") + base->GetVersionString());
  return api;
}

}  // namespace

const OrtApi &api() {
  static const OrtApi *loaded = load();
  return *loaded;
}

}  // namespace mttc::ort
