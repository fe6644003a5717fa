// Memory, copies and variables.
#include <cstring>

#include "machine/address.h"
#include "runtime/runtime.h"

using namespace emulator::runtime;

namespace {

enum class Kind : int { host_to_host, host_to_device, device_to_host, device_to_device, by_addresses };

CUdeviceptr address_of(const void* pointer) {
  return reinterpret_cast<CUdeviceptr>(pointer);
}
bool on_device(const void* pointer) {
  return address_of(pointer) >= emulator::machine::kDeviceStart;
}

Kind kind_of(const void* to, const void* from) {
  if (on_device(to)) return on_device(from) ? Kind::device_to_device : Kind::host_to_device;
  return on_device(from) ? Kind::device_to_host : Kind::host_to_host;
}

int copy(void* to, const void* from, size_t size, Kind kind) {
  switch (kind == Kind::by_addresses ? kind_of(to, from) : kind) {
    case Kind::host_to_host:
      std::memmove(to, from, size);
      return CUDA_SUCCESS;
    case Kind::host_to_device:
      return cuMemcpyHtoD_v2(address_of(to), from, size);
    case Kind::device_to_host:
      return cuMemcpyDtoH_v2(to, address_of(from), size);
    case Kind::device_to_device:
      return cuMemcpyDtoD_v2(address_of(to), address_of(from), size);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

int copy_in_stream(void* to, const void* from, size_t size, Kind kind, CUstream stream) {
  switch (kind == Kind::by_addresses ? kind_of(to, from) : kind) {
    case Kind::host_to_device:
      return cuMemcpyHtoDAsync_v2(address_of(to), from, size, stream);
    case Kind::device_to_host:
      return cuMemcpyDtoHAsync_v2(to, address_of(from), size, stream);
    case Kind::device_to_device:
      return cuMemcpyDtoDAsync_v2(address_of(to), address_of(from), size, stream);
    default:
      return copy(to, from, size, kind);
  }
}

/// Calls body(address) with the bytes [offset, offset + size) of a variable.
template <class F>
int on_variable(const void* host, size_t offset, size_t size, F body) {
  return call([&]() -> int {
    CUdeviceptr address = 0;
    size_t all = 0;
    if (const int error = find_variable(host, address, all)) return error;
    if (offset > all || size > all - offset) return CUDA_ERROR_INVALID_VALUE;
    return body(address + offset);
  });
}

}  // namespace

EMULATOR_EXPORT int cudaMalloc(void** pointer, size_t size) {
  return call([&]() -> int {
    CUdeviceptr address = 0;
    if (pointer == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pointer = nullptr;
    if (size == 0) return CUDA_SUCCESS;
    if (const int error = cuMemAlloc_v2(&address, size)) return error;
    *pointer = reinterpret_cast<void*>(address);
    return CUDA_SUCCESS;
  });
}
EMULATOR_EXPORT int cudaFree(void* pointer) {
  return call([&] { return cuMemFree_v2(address_of(pointer)); });
}
EMULATOR_EXPORT int cudaMallocHost(void** pointer, size_t size) {
  return call([&] { return cuMemAllocHost_v2(pointer, size); });
}
EMULATOR_EXPORT int cudaFreeHost(void* pointer) {
  return call([&] { return cuMemFreeHost(pointer); });
}

EMULATOR_EXPORT int cudaMemcpy(void* to, const void* from, size_t size, int kind) {
  return call([&] { return copy(to, from, size, static_cast<Kind>(kind)); });
}
EMULATOR_EXPORT int cudaMemcpyAsync(void* to, const void* from, size_t size, int kind, CUstream stream) {
  return call([&] { return copy_in_stream(to, from, size, static_cast<Kind>(kind), stream); });
}
EMULATOR_EXPORT int cudaMemset(void* to, int value, size_t count) {
  return call([&] { return cuMemsetD8_v2(address_of(to), static_cast<unsigned char>(value), count); });
}
EMULATOR_EXPORT int cudaMemsetAsync(void* to, int value, size_t count, CUstream stream) {
  return call([&] { return cuMemsetD8Async(address_of(to), static_cast<unsigned char>(value), count, stream); });
}

EMULATOR_EXPORT int cudaMemcpyToSymbol(const void* symbol, const void* from, size_t size, size_t offset, int kind) {
  return on_variable(symbol, offset, size, [&](CUdeviceptr to) {
    return copy(reinterpret_cast<void*>(to), from, size, static_cast<Kind>(kind));
  });
}
EMULATOR_EXPORT int cudaMemcpyFromSymbol(void* to, const void* symbol, size_t size, size_t offset, int kind) {
  return on_variable(symbol, offset, size, [&](CUdeviceptr from) {
    return copy(to, reinterpret_cast<const void*>(from), size, static_cast<Kind>(kind));
  });
}
EMULATOR_EXPORT int cudaGetSymbolAddress(void** pointer, const void* symbol) {
  return on_variable(symbol, 0, 0, [&](CUdeviceptr address) -> int {
    *pointer = reinterpret_cast<void*>(address);
    return CUDA_SUCCESS;
  });
}
