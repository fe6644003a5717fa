// Launches: `kernel<<<...>>>` pushes a configuration, and the kernel's stub on the host pops it.
#include <vector>

#include "runtime/runtime.h"

using namespace emulator::runtime;

namespace {

/// dim3
struct Extents {
  unsigned int x, y, z;
};

/// cudaLaunchConfig_t
struct Configuration {
  Extents grid, block;
  size_t shared_bytes;
  CUstream stream;
  CUlaunchAttribute* attributes;
  unsigned int attribute_count;
};

std::vector<Configuration>& pushed() {
  thread_local std::vector<Configuration> stack;
  return stack;
}

int launch(const void* host, const Configuration& configuration, void** arguments) {
  return call([&]() -> int {
    CUfunction function = nullptr;
    if (const int error = find_function(host, function)) return error;
    if (configuration.shared_bytes > UINT32_MAX) return CUDA_ERROR_INVALID_VALUE;
    const CUlaunchConfig config = {configuration.grid.x,
                                   configuration.grid.y,
                                   configuration.grid.z,
                                   configuration.block.x,
                                   configuration.block.y,
                                   configuration.block.z,
                                   static_cast<unsigned int>(configuration.shared_bytes),
                                   configuration.stream,
                                   configuration.attributes,
                                   configuration.attribute_count};
    return cuLaunchKernelEx(&config, function, arguments, nullptr);
  });
}

}  // namespace

EMULATOR_EXPORT unsigned int __cudaPushCallConfiguration(Extents grid, Extents block, size_t shared_bytes,
                                                         CUstream stream) {
  pushed().push_back({grid, block, shared_bytes, stream, nullptr, 0});
  return 0;
}
EMULATOR_EXPORT int __cudaPopCallConfiguration(Extents* grid, Extents* block, size_t* shared_bytes, void* stream) {
  if (pushed().empty()) return note(CUDA_ERROR_INVALID_VALUE);
  const Configuration last = pushed().back();
  pushed().pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared_bytes = last.shared_bytes;
  *static_cast<CUstream*>(stream) = last.stream;
  return CUDA_SUCCESS;
}

/// A kernel's handle is the address that the program knows it by.
EMULATOR_EXPORT int __cudaGetKernel(const void** kernel, const void* host) {
  *kernel = host;
  return CUDA_SUCCESS;
}
EMULATOR_EXPORT int __cudaLaunchKernel(const void* kernel, Extents grid, Extents block, void** arguments,
                                       size_t shared_bytes, CUstream stream) {
  return launch(kernel, {grid, block, shared_bytes, stream, nullptr, 0}, arguments);
}
EMULATOR_EXPORT int cudaLaunchKernel(const void* host, Extents grid, Extents block, void** arguments,
                                     size_t shared_bytes, CUstream stream) {
  return launch(host, {grid, block, shared_bytes, stream, nullptr, 0}, arguments);
}
EMULATOR_EXPORT int cudaLaunchKernelExC(const Configuration* configuration, const void* host, void** arguments) {
  return configuration != nullptr ? launch(host, *configuration, arguments) : note(CUDA_ERROR_INVALID_VALUE);
}

EMULATOR_EXPORT int cudaFuncSetAttribute(const void* host, int attribute, int value) {
  return call([&]() -> int {
    CUfunction function = nullptr;
    const int error = find_function(host, function);
    return error != 0 ? error : cuFuncSetAttribute(function, attribute, value);
  });
}
