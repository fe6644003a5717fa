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
  Allocation* const allocation = all.here->memory.find(address, size);
  if (allocation == nullptr)
    fail(CUDA_ERROR_INVALID_VALUE, format("{} bytes at device address {:#x} are not all allocated", size, address));
  return allocation;
}

CUresult copy_to_device(State& all, CUdeviceptr to, const void* from, size_t size) {
  all.here->before.clear();
  if (size == 0) return CUDA_SUCCESS;
  if (from == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the source is null");
  Allocation* const target = device_bytes(all, to, size);
  if (target == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(target->bytes.data() + (to - target->start), from, size);
  mark(target->initialised.data(), to - target->start, size);
  return CUDA_SUCCESS;
}

CUresult copy_to_host(State& all, void* to, CUdeviceptr from, size_t size) {
  all.here->before.clear();
  if (size == 0) return CUDA_SUCCESS;
  if (to == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the destination is null");
  Allocation* const source = device_bytes(all, from, size);
  if (source == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(to, source->bytes.data() + (from - source->start), size);
  return CUDA_SUCCESS;
}

CUresult copy_on_device(State& all, CUdeviceptr to, CUdeviceptr from, size_t size) {
  all.here->before.clear();
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
  all.here->before.clear();
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

/// A copy that returns when it is done goes through the legacy stream.
template <class F>
CUresult enter_waiting(F body) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    const CUresult bad = refuse_waiting_for_stream(all, all.here->legacy_stream);
    return bad != CUDA_SUCCESS ? bad : body(all);
  });
}

CUresult submit_now(const Work& work) {
  return enter_waiting([&](State& all) { return perform(all, work); });
}
CUresult submit_to(CUstream stream, const Work& work) {
  return enter(Needs::context, [&](State& all) { return submit(all, stream, work); });
}

uint64_t address_of(const void* host) {
  return reinterpret_cast<uint64_t>(host);
}

Fill fill(CUdeviceptr to, unsigned int value, uint32_t width, size_t count) {
  Fill made{to, {}, width, count};
  std::memcpy(made.pattern.data(), &value, sizeof(value));
  return made;
}

}  // namespace

namespace emulator::driver {

CUresult perform_copy(State& all, const Copy& copy) {
  switch (copy.direction) {
    case Direction::to_device:
      return copy_to_device(all, copy.to, reinterpret_cast<const void*>(copy.from), copy.size);
    case Direction::to_host:
      return copy_to_host(all, reinterpret_cast<void*>(copy.to), copy.from, copy.size);
    case Direction::on_device:
      return copy_on_device(all, copy.to, copy.from, copy.size);
  }
  return CUDA_ERROR_UNKNOWN;
}

CUresult perform_fill(State& all, const Fill& fill) {
  return set_bytes(all, fill.to, fill.pattern.data(), fill.width, fill.count);
}

}  // namespace emulator::driver

EMULATOR_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t size) {
  return enter_unsafe([&](State& all) -> CUresult {
    if (address == nullptr || size == 0) return fail(CUDA_ERROR_INVALID_VALUE, "the address is null or the size 0");
    constexpr uint64_t kAll = uint64_t{80} << 30;
    if (size > kAll - all.here->memory.bytes_in_use())
      return fail(CUDA_ERROR_OUT_OF_MEMORY, format("{} bytes do not fit into 80 GiB", size));
    *address = all.here->memory.allocate(size);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
  return enter_unsafe([&](State& all) -> CUresult {
    if (address == 0 || all.here->memory.free(address)) return CUDA_SUCCESS;
    return fail(CUDA_ERROR_INVALID_VALUE, format("no allocation starts at {:#x}", address));
  });
}

EMULATOR_EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *total = size_t{80} << 30;
    *free = *total - all.here->memory.bytes_in_use();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuMemAllocHost_v2(void** address, size_t size) {
  return enter_unsafe([&](State&) -> CUresult {
    if (address == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
    *address = std::malloc(size);
    return *address != nullptr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
  });
}

EMULATOR_EXPORT CUresult cuMemFreeHost(void* address) {
  return enter_unsafe([&](State&) -> CUresult {
    std::free(address);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t size) {
  return submit_now(Copy{Direction::to_device, to, address_of(from), size});
}
EMULATOR_EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t size) {
  return submit_now(Copy{Direction::to_host, address_of(to), from, size});
}
EMULATOR_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t size) {
  return submit_now(Copy{Direction::on_device, to, from, size});
}
EMULATOR_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t size, CUstream stream) {
  return submit_to(stream, Copy{Direction::to_device, to, address_of(from), size});
}
EMULATOR_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t size, CUstream stream) {
  return submit_to(stream, Copy{Direction::to_host, address_of(to), from, size});
}
EMULATOR_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
  return submit_to(stream, Copy{Direction::on_device, to, from, size});
}

EMULATOR_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  return submit_now(fill(to, value, 1, count));
}
EMULATOR_EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned int value, size_t count) {
  return submit_now(fill(to, value, 4, count));
}
EMULATOR_EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  return submit_to(stream, fill(to, value, 1, count));
}
EMULATOR_EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t count, CUstream stream) {
  return submit_to(stream, fill(to, value, 4, count));
}
