// What the client needs of ONNX Runtime's C API, with owners in place of releases and exceptions in place of
// statuses.
#pragma once
#include <memory>
#include <string>

#include <onnxruntime_c_api.h>

#include "fault.hpp"

namespace mttc::ort {

// The API of the library at ORT_DYLIB_PATH, else of the system's. E_ORT_LOAD.
const OrtApi &api();

// Throws the message of a failed call under `code`.
inline void check(OrtStatus *status, const char *code = "E_ORT") {
  if (status == nullptr) return;
  const std::string message = api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  throw Fault(code, message);
}

// The function of the API that releases a T.
template <typename T>
struct Release;
#define MTTC_RELEASE(T)                    \
  template <>                              \
  struct Release<Ort##T> {                 \
    void operator()(Ort##T *owned) const { \
      api().Release##T(owned);             \
    }                                      \
  };
MTTC_RELEASE(Env)
MTTC_RELEASE(Session)
MTTC_RELEASE(SessionOptions)
MTTC_RELEASE(MemoryInfo)
MTTC_RELEASE(ModelMetadata)
MTTC_RELEASE(TypeInfo)
MTTC_RELEASE(Value)
#undef MTTC_RELEASE

template <typename T>
using Owned = std::unique_ptr<T, Release<T>>;

// Owns what a call of the API makes: make<OrtEnv>([](OrtEnv **out) { return api().CreateEnv(..., out); }).
template <typename T, typename Call>
Owned<T> make(const Call &call, const char *code = "E_ORT") {
  T *made = nullptr;
  check(call(&made), code);
  return Owned<T>(made);
}

// A text that ONNX Runtime allocates; "" where it gives none, then `exists` is false.
struct Text {
  std::string text;
  bool exists = false;
};

template <typename Call>
Text make_text(const Call &call) {
  OrtAllocator *allocator = nullptr;
  check(api().GetAllocatorWithDefaultOptions(&allocator));
  char *made = nullptr;
  check(call(allocator, &made));
  const auto release = [&](char *text) { allocator->Free(allocator, text); };
  const std::unique_ptr<char, decltype(release)> owned(made, release);
  return made == nullptr ? Text{} : Text{made, true};
}

}  // namespace mttc::ort
