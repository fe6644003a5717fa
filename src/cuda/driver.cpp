#include "cuda/driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

namespace flash_mla::cuda {

namespace {

constexpr const char* kDefaultName = "libcuda.so.1";

struct Opened {
  Driver driver;
  Status status;
};

Status open(Driver& driver) {
  const char* forced = std::getenv("FLASH_MLA_CUDA_DRIVER");
  const std::string name = forced != nullptr && *forced != '\0' ? forced : kDefaultName;
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    return core::error(StatusCode::unsupported, "no CUDA driver: {}", why != nullptr ? why : name.c_str());
  }
#define FLASH_MLA_RESOLVE(member, entry_point, type)                                                          \
  driver.member = reinterpret_cast<Driver::Type_##member*>(dlsym(library, entry_point));                      \
  if (driver.member == nullptr) {                                                                             \
    return core::error(StatusCode::unsupported, "the CUDA driver {} has no {}: it is too old, or none", name, \
                       entry_point);                                                                          \
  }
  FLASH_MLA_CUDA_ENTRY_POINTS(FLASH_MLA_RESOLVE)
#undef FLASH_MLA_RESOLVE
  driver.context_id = reinterpret_cast<ContextId*>(dlsym(library, kContextIdEntryPoint));
  if (const Result_ result = driver.init(0); result != 0) {
    const Status why = check(driver, result, "cuInit");
    return {StatusCode::unsupported, why.message()};
  }
  return {};
}

const Opened& opened() {
  static const Opened once = [] {
    Opened result;
    result.status = open(result.driver);
    return result;
  }();
  return once;
}

}  // namespace

Result<const Driver*> driver() {
  if (!opened().status.ok()) return opened().status;
  return &opened().driver;
}

Status check(const Driver& driver, Result_ result, const char* call) {
  if (result == 0) return {};
  const char *name = nullptr, *text = nullptr;
  if (driver.error_name(result, &name) != 0 || name == nullptr) name = "unknown error";
  if (driver.error_text(result, &text) != 0 || text == nullptr) text = "no description";
  return core::error(StatusCode::device_error, "{} failed: {} ({}), {}", call, name, result, text);
}

}  // namespace flash_mla::cuda
