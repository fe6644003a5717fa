// cuInit, devices and contexts.
#include <algorithm>
#include <cstring>

#include "driver/state.h"
#include "support/format.h"

using namespace emulator::driver;
using emulator::format;

namespace {

bool has_vectors() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#else
  return true;
#endif
}

int attribute_value(CUdevice_attribute attribute, bool& known) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
      return 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
      return 64;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
      return 0x7fffffff;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      return 65535;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      return 48 << 10;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      return 32;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return 132;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
      return 1;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return 50 << 20;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return 9;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return 0;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return 228 << 10;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return 232448;
    default:
      known = false;
      return 0;
  }
}

CUresult check_device(CUdevice device) {
  return device == 0 ? CUDA_SUCCESS
                     : fail(CUDA_ERROR_INVALID_DEVICE, format("device {}; there is device 0 only", device));
}

}  // namespace

EMULATOR_EXPORT CUresult cuInit(unsigned int flags) {
  return enter(Needs::nothing, [&](State& all) -> CUresult {
    if (flags != 0) return fail(CUDA_ERROR_INVALID_VALUE, format("flags {} of cuInit; 0 is allowed", flags));
    if (!has_vectors()) return fail(CUDA_ERROR_NOT_SUPPORTED, "the emulator needs a processor with AVX2, FMA and BMI2");
    all.initialised = true;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDriverGetVersion(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = 13000;
  return CUDA_SUCCESS;
}

EMULATOR_EXPORT CUresult cuDeviceGetCount(int* count) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = 1;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult bad = check_device(ordinal)) return bad;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDeviceGetName(char* name, int size, CUdevice device) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (name == nullptr || size <= 0) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult bad = check_device(device)) return bad;
    std::strncpy(name, "flash_mla emulator of an sm_90a GPU (no hardware)", static_cast<size_t>(size) - 1);
    name[size - 1] = '\0';
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult bad = check_device(device)) return bad;
    bool known = true;
    const int found = attribute_value(attribute, known);
    if (!known)
      return fail(CUDA_ERROR_INVALID_VALUE, format("device attribute {} is not known to the emulator", attribute));
    *value = found;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult bad = check_device(device)) return bad;
    *bytes = size_t{80} << 30;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult bad = check_device(device)) return bad;
    ++all.retained;
    *context = &all.context;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (const CUresult bad = check_device(device)) return bad;
    if (all.retained == 0)
      return fail(CUDA_ERROR_INVALID_CONTEXT, "the primary context is released more often than retained");
    --all.retained;
    return CUDA_SUCCESS;
  });
}

/// Frees everything and forgets the error of a launch.
EMULATOR_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (const CUresult bad = check_device(device)) return bad;
    all.context = {};
    all.before.clear();
    all.modules.clear();
    all.streams.clear();
    all.events.clear();
    all.memory = {};
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = context_stack().empty() ? nullptr : context_stack().back();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (context != nullptr && context != &all.context) return fail(CUDA_ERROR_INVALID_CONTEXT, "that is no context");
    if (!context_stack().empty()) context_stack().pop_back();
    if (context != nullptr) context_stack().push_back(context);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (context != &all.context) return fail(CUDA_ERROR_INVALID_CONTEXT, "that is no context");
    context_stack().push_back(context);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (context_stack().empty()) return fail(CUDA_ERROR_INVALID_CONTEXT, "there is no current context");
    if (context != nullptr) *context = context_stack().back();
    context_stack().pop_back();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  return enter(Needs::context, [&](State&) -> CUresult {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxSynchronize() {
  return enter(Needs::context, [](State& all) -> CUresult {
    all.before.clear();
    return CUDA_SUCCESS;
  });
}
