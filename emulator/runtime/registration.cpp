// What nvcc's objects tell before main(): their fat binaries, kernels and variables. They are loaded when they are
// first used.
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace emulator::runtime {
namespace {

/// As nvcc writes it: the wrapper of a fat binary.
struct Wrapper {
  int magic, version;
  const void* data;
  void* more;
};

struct Image {
  const void* data;
  CUmodule module = nullptr;
};
struct Named {
  Image* image;
  std::string name;
};

struct Registry {
  std::mutex mutex;
  std::map<void**, Image> images;
  std::map<const void*, Named> functions, variables;
};
Registry& registry() {
  static Registry all;
  return all;
}

int load(Image& image) {
  return image.module != nullptr ? CUDA_SUCCESS : cuModuleLoadData(&image.module, image.data);
}

}  // namespace

int find_function(const void* host, CUfunction& function) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto known = all.functions.find(host);
  if (known == all.functions.end()) return kErrorInvalidDeviceFunction;
  if (const int error = load(*known->second.image)) return error;
  return cuModuleGetFunction(&function, known->second.image->module, known->second.name.c_str());
}

int find_variable(const void* host, CUdeviceptr& address, size_t& size) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto known = all.variables.find(host);
  if (known == all.variables.end()) return kErrorInvalidSymbol;
  if (const int error = load(*known->second.image)) return error;
  return cuModuleGetGlobal_v2(&address, &size, known->second.image->module, known->second.name.c_str());
}

void forget_modules() {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  for (auto& [handle, image] : all.images) image.module = nullptr;
}

}  // namespace emulator::runtime

using namespace emulator::runtime;

EMULATOR_EXPORT void** __cudaRegisterFatBinary(void* wrapper) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  auto* const handle = static_cast<void**>(wrapper);
  all.images[handle] = {static_cast<Wrapper*>(wrapper)->data};
  return handle;
}
EMULATOR_EXPORT void __cudaRegisterFatBinaryEnd(void**) {}
EMULATOR_EXPORT void __cudaUnregisterFatBinary(void** handle) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.images.find(handle);
  if (found == all.images.end()) return;
  for (auto* const names : {&all.functions, &all.variables}) {
    std::erase_if(*names, [&](const auto& known) { return known.second.image == &found->second; });
  }
  all.images.erase(found);
}
EMULATOR_EXPORT char __cudaInitModule(void**) {
  return 1;
}

EMULATOR_EXPORT void __cudaRegisterFunction(void** handle, const char* host, char*, const char* name, int, void*, void*,
                                            void*, void*, int*) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.functions[host] = {&all.images.at(handle), name};
}
EMULATOR_EXPORT void __cudaRegisterVar(void** handle, char* host, char*, const char* name, int, size_t, int, int) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.variables[host] = {&all.images.at(handle), name};
}
