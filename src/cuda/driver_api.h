// The part of the CUDA driver's binary interface that the library uses, so that it builds where no toolkit is. Names
// and values are the driver's (CUDA 12 and 13).
#pragma once

#include <cstddef>
#include <cstdint>

namespace flash_mla::cuda {

using Result_ = int;  ///< CUresult; 0: success
using Device = int;
using Context = struct ContextHandle*;
using Module = struct ModuleHandle*;
using Function = struct FunctionHandle*;
using Stream = struct StreamHandle*;
using DeviceAddress = uint64_t;

enum class DeviceAttribute : int { num_sms = 16, capability_major = 75, capability_minor = 76 };
enum class FunctionAttribute : int { max_dynamic_shared_bytes = 8 };

enum class TensorMapType : int { float16 = 6, bfloat16 = 9 };
inline constexpr int kNoInterleave = 0;
inline constexpr int kSwizzle128B = 3;
inline constexpr int kPromoteTo256B = 3;
inline constexpr int kZerosOutOfBounds = 0;

/// CUtensorMap
struct alignas(64) TensorMap {
  uint64_t opaque[16];
};

enum class LaunchAttributeId : int { programmatic_stream_serialization = 6 };

/// CUlaunchAttribute
struct alignas(8) LaunchAttribute {
  LaunchAttributeId id;
  int padding;
  int value;  ///< of a union of 64 bytes
  int more[15];
};
static_assert(sizeof(LaunchAttribute) == 72);

/// CUlaunchConfig
struct LaunchConfig {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  Stream stream;
  const LaunchAttribute* attributes;
  unsigned num_attributes;
};
static_assert(sizeof(LaunchConfig) == 56);

/// Every entry point: its member here, its name in the driver, its type.
#define FLASH_MLA_CUDA_ENTRY_POINTS(entry)                                                                             \
  entry(init, "cuInit", Result_(unsigned flags)) entry(                                                                \
      driver_version, "cuDriverGetVersion", Result_(int* version)) entry(error_name, "cuGetErrorName",                 \
                                                                         Result_(Result_ error, const char** name))    \
      entry(error_text, "cuGetErrorString", Result_(Result_ error, const char** text)) entry(                          \
          device_count, "cuDeviceGetCount", Result_(int* count)) entry(device_get, "cuDeviceGet",                      \
                                                                       Result_(Device* device, int ordinal))           \
          entry(device_name, "cuDeviceGetName", Result_(char* name, int size, Device device)) entry(                   \
              device_attribute, "cuDeviceGetAttribute", Result_(int* value, DeviceAttribute attribute, Device device)) \
              entry(primary_context, "cuDevicePrimaryCtxRetain", Result_(Context* context, Device device)) entry(      \
                  current_context, "cuCtxGetCurrent", Result_(Context* context))                                       \
                  entry(set_context, "cuCtxSetCurrent", Result_(Context context)) entry(                               \
                      current_device, "cuCtxGetDevice", Result_(Device* device))                                       \
                      entry(load_module, "cuModuleLoadData", Result_(Module* module, const void* image)) entry(        \
                          find_function, "cuModuleGetFunction",                                                        \
                          Result_(Function* function, Module module, const char* name))                                \
                          entry(set_function, "cuFuncSetAttribute",                                                    \
                                Result_(Function function, FunctionAttribute attribute, int value))                    \
                              entry(launch, "cuLaunchKernelEx",                                                        \
                                    Result_(const LaunchConfig* config, Function function, void** parameters,          \
                                            void** extra))                                                             \
                                  entry(encode_tensor_map, "cuTensorMapEncodeTiled",                                   \
                                        Result_(TensorMap* map, TensorMapType type, uint32_t rank, void* address,      \
                                                const uint64_t* extents, const uint64_t* byte_strides,                 \
                                                const uint32_t* box, const uint32_t* element_strides, int interleave,  \
                                                int swizzle, int promotion, int out_of_bounds))                        \
                                      entry(allocate, "cuMemAlloc_v2", Result_(DeviceAddress* address, size_t size))   \
                                          entry(free, "cuMemFree_v2", Result_(DeviceAddress address))                  \
                                              entry(to_device, "cuMemcpyHtoD_v2",                                      \
                                                    Result_(DeviceAddress to, const void* from, size_t size))          \
                                                  entry(to_host, "cuMemcpyDtoH_v2",                                    \
                                                        Result_(void* to, DeviceAddress from, size_t size))            \
                                                      entry(to_device_async, "cuMemcpyHtoDAsync_v2",                   \
                                                            Result_(DeviceAddress to, const void* from, size_t size,   \
                                                                    Stream stream))                                    \
                                                          entry(synchronize, "cuStreamSynchronize",                    \
                                                                Result_(Stream stream))

/// An id that no other context ever has; in drivers since CUDA 12.
inline constexpr const char* kContextIdEntryPoint = "cuCtxGetId";
using ContextId = Result_(Context context, unsigned long long* id);

}  // namespace flash_mla::cuda
