// Memory and copies. Streams run at once what they are given, so that the asynchronous copies are the plain ones.
#include <cstdlib>
#include <cstring>

#include "driver/state.h"
#include "support/format.h"

using namespace emulator::driver;
using emulator::format;
using emulator::machine::all_marked;
using emulator::machine::Allocation;
using emulator::machine::mark;

namespace {

/// The device's bytes [address, address + size), or null with the error noted.
Allocation* device_bytes(State& all, CUdeviceptr address, size_t size) {
  Allocation* const allocation = all.memory.find(address, size);
  if (allocation == nullptr)
    fail(CUDA_ERROR_INVALID_VALUE, format("{} bytes at device address {:#x} are not all allocated", size, address));
  return allocation;
}

CUresult copy_to_device(State& all, CUdeviceptr to, const void* from, size_t size) {
  all.before.clear();
  if (size == 0) return CUDA_SUCCESS;
  if (from == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the source is null");
  Allocation* const target = device_bytes(all, to, size);
  if (target == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(target->bytes.data() + (to - target->start), from, size);
  mark(target->initialised.data(), to - target->start, size);
  return CUDA_SUCCESS;
}

CUresult copy_to_host(State& all, void* to, CUdeviceptr from, size_t size) {
  all.before.clear();
  if (size == 0) return CUDA_SUCCESS;
  if (to == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the destination is null");
  Allocation* const source = device_bytes(all, from, size);
  if (source == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(to, source->bytes.data() + (from - source->start), size);
  return CUDA_SUCCESS;
}

CUresult copy_on_device(State& all, CUdeviceptr to, CUdeviceptr from, size_t size) {
  all.before.clear();
  if (size == 0) return CUDA_SUCCESS;
  Allocation* const source = device_bytes(all, from, size);
  if (source == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Allocation* const target = device_bytes(all, to, size);
  if (target == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const bool known = all_marked(source->initialised.data(), from - source->start, size);
  std::memmove(target->bytes.data() + (to - target->start), source->bytes.data() + (from - source->start), size);
  known ? mark(target->initialised.data(), to - target->start, size)
        : emulator::machine::unmark(target->initialised.data(), to - target->start, size);
  return CUDA_SUCCESS;
}

CUresult set_bytes(State& all, CUdeviceptr to, const void* pattern, size_t width, size_t count) {
  all.before.clear();
  if (count == 0) return CUDA_SUCCESS;
  if (to % width != 0) return fail(CUDA_ERROR_INVALID_VALUE, format("address {:#x} is no multiple of {}", to, width));
  if (count > SIZE_MAX / width) return fail(CUDA_ERROR_INVALID_VALUE, "too many elements");
  Allocation* const target = device_bytes(all, to, width * count);
  if (target == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; ++i)
    std::memcpy(target->bytes.data() + (to - target->start) + i * width, pattern, width);
  mark(target->initialised.data(), to - target->start, width * count);
  return CUDA_SUCCESS;
}

template <class F>
CUresult on_stream(CUstream stream, F body) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    return is_stream(all, stream) ? body(all) : fail(CUDA_ERROR_INVALID_HANDLE, "that is no stream");
  });
}

}  // namespace

EMULATOR_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t size) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (address == nullptr || size == 0) return fail(CUDA_ERROR_INVALID_VALUE, "the address is null or the size 0");
    constexpr uint64_t kAll = uint64_t{80} << 30;
    if (size > kAll - all.memory.bytes_in_use())
      return fail(CUDA_ERROR_OUT_OF_MEMORY, format("{} bytes do not fit into 80 GiB", size));
    *address = all.memory.allocate(size);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (address == 0 || all.memory.free(address)) return CUDA_SUCCESS;
    return fail(CUDA_ERROR_INVALID_VALUE, format("no allocation starts at {:#x}", address));
  });
}

EMULATOR_EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *total = size_t{80} << 30;
    *free = *total - all.memory.bytes_in_use();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuMemAllocHost_v2(void** address, size_t size) {
  return enter(Needs::context, [&](State&) -> CUresult {
    if (address == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
    *address = std::malloc(size);
    return *address != nullptr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
  });
}

EMULATOR_EXPORT CUresult cuMemFreeHost(void* address) {
  return enter(Needs::context, [&](State&) -> CUresult {
    std::free(address);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t size) {
  return enter(Needs::context, [&](State& all) { return copy_to_device(all, to, from, size); });
}
EMULATOR_EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t size) {
  return enter(Needs::context, [&](State& all) { return copy_to_host(all, to, from, size); });
}
EMULATOR_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t size) {
  return enter(Needs::context, [&](State& all) { return copy_on_device(all, to, from, size); });
}
EMULATOR_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t size, CUstream stream) {
  return on_stream(stream, [&](State& all) { return copy_to_device(all, to, from, size); });
}
EMULATOR_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t size, CUstream stream) {
  return on_stream(stream, [&](State& all) { return copy_to_host(all, to, from, size); });
}
EMULATOR_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
  return on_stream(stream, [&](State& all) { return copy_on_device(all, to, from, size); });
}

EMULATOR_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  return enter(Needs::context, [&](State& all) { return set_bytes(all, to, &value, 1, count); });
}
EMULATOR_EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned int value, size_t count) {
  return enter(Needs::context, [&](State& all) { return set_bytes(all, to, &value, 4, count); });
}
EMULATOR_EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  return on_stream(stream, [&](State& all) { return set_bytes(all, to, &value, 1, count); });
}
EMULATOR_EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t count, CUstream stream) {
  return on_stream(stream, [&](State& all) { return set_bytes(all, to, &value, 4, count); });
}
