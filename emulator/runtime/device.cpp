// Devices and errors.
#include <utility>

#include "runtime/runtime.h"

namespace emulator::runtime {
namespace {

int& last_error() {
  thread_local int error = CUDA_SUCCESS;
  return error;
}

}  // namespace

int enter() {
  static const int initialised = cuInit(0);
  if (initialised != CUDA_SUCCESS) return initialised;
  CUcontext context = nullptr;
  if (const int error = cuCtxGetCurrent(&context)) return error;
  if (context != nullptr) return CUDA_SUCCESS;
  if (const int error = cuDevicePrimaryCtxRetain(&context, 0)) return error;
  return cuCtxSetCurrent(context);
}

int note(int error) {
  if (error != CUDA_SUCCESS) last_error() = error;
  return error;
}

}  // namespace emulator::runtime

using namespace emulator::runtime;

EMULATOR_EXPORT int cudaGetLastError() {
  return std::exchange(last_error(), CUDA_SUCCESS);
}
EMULATOR_EXPORT int cudaPeekAtLastError() {
  return last_error();
}
EMULATOR_EXPORT const char* cudaGetErrorString(int error) {
  if (error == kErrorInvalidSymbol) return "invalid device symbol";
  if (error == kErrorInvalidDeviceFunction) return "invalid device function";
  const char* text = nullptr;
  return cuGetErrorString(error, &text) == CUDA_SUCCESS ? text : "unrecognized error code";
}
/// The driver's names: their numbers are the runtime's.
EMULATOR_EXPORT const char* cudaGetErrorName(int error) {
  const char* name = nullptr;
  return cuGetErrorName(error, &name) == CUDA_SUCCESS ? name : "unrecognized error code";
}

EMULATOR_EXPORT int cudaGetDeviceCount(int* count) {
  return call([&] { return cuDeviceGetCount(count); });
}
EMULATOR_EXPORT int cudaGetDevice(int* device) {
  return call([&]() -> int {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}
EMULATOR_EXPORT int cudaSetDevice(int device) {
  return call([&]() -> int { return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE; });
}
EMULATOR_EXPORT int cudaDeviceGetAttribute(int* value, int attribute, int device) {
  return call([&] { return cuDeviceGetAttribute(value, attribute, device); });
}
EMULATOR_EXPORT int cudaDeviceSynchronize() {
  return call([] { return cuCtxSynchronize(); });
}
EMULATOR_EXPORT int cudaDeviceReset() {
  return call([] {
    forget_modules();
    return cuDevicePrimaryCtxReset_v2(0);
  });
}
EMULATOR_EXPORT int cudaDriverGetVersion(int* version) {
  return note(cuDriverGetVersion(version));
}
EMULATOR_EXPORT int cudaRuntimeGetVersion(int* version) {
  return note(cuDriverGetVersion(version));
}
EMULATOR_EXPORT int cudaGetDriverEntryPointByVersion(const char* name, void** address, unsigned int version,
                                                     unsigned long long flags, int* status) {
  return call([&] { return cuGetProcAddress_v2(name, address, static_cast<int>(version), flags, status); });
}
EMULATOR_EXPORT int cudaGetDriverEntryPoint(const char* name, void** address, unsigned long long flags, int* status) {
  return cudaGetDriverEntryPointByVersion(name, address, 13000, flags, status);
}
