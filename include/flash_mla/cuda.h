// Decode on a GPU. A plan of a backend with on_cuda ("sm90", by name) belongs to the device of the thread's current
// CUDA context. Once a step: Plan::make() or remake() from lengths in host memory, then Plan::upload(). Once a layer:
// decode(), whose arrays, page table and workspace lie in the device's memory and whose kernels run in the order of
// DecodeArgs::stream. decode() neither allocates nor synchronises and reads nothing that the device holds, so it can be
// captured in a graph, while upload() stays outside of it. A plan with PlanSpec::lengths_on_device is made by the
// device instead, by Plan::plan_on_device(), which can be captured too: replays then follow lengths that change in
// place. What cannot be seen from the host is not checked: lengths that differ from the plan's, page ids out of range
// (which read as zeros). Plans made while $FLASH_MLA_CUDA_CHECKS is 1 have decode() wait for the stream, look at
// lengths and page table, and refuse a call as a CPU backend would: for finding mistakes, not for graphs.
//
// The CUDA driver is opened by name ($FLASH_MLA_CUDA_DRIVER, else libcuda.so.1) and used as it is: the caller's context
// and stream (PyTorch's, the CUDA runtime's) are taken. Programs that have none get a device here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flash_mla/export.h"
#include "flash_mla/status.h"

namespace flash_mla {

/// Makes the primary context of a device (0 to the number of devices - 1) the thread's current one. Errors: unsupported
/// (no driver), invalid_argument (no such device), device_error.
FLASH_MLA_API Status cuda_use_device(int device);

/// The device of the thread's current context; -1 if it has none. Errors: unsupported (no driver), device_error.
FLASH_MLA_API Result<int> cuda_current_device();

/// Waits for all work of a stream; null: the default stream. Reports what failed in it. Errors: unsupported,
/// device_error.
FLASH_MLA_API Status cuda_synchronize(void* stream);

/// Copies `count` bytes between host memory and the current context's device, after the stream's earlier work. After
/// cuda_read() they are there; after cuda_write() `from`, of ordinary (not page-locked) memory, may be changed. Errors:
/// unsupported, device_error.
FLASH_MLA_API Status cuda_read(void* to, const void* from, size_t count, void* stream);
FLASH_MLA_API Status cuda_write(void* to, const void* from, size_t count, void* stream);

/// Memory of the current context's device. Freed with the object, in whatever context is current then.
class FLASH_MLA_API CudaMemory {
 public:
  /// At least `size` bytes, aligned to 256. Errors: unsupported, device_error (out of memory).
  static Result<CudaMemory> allocate(size_t size);

  CudaMemory() = default;
  CudaMemory(CudaMemory&& other) noexcept;
  CudaMemory& operator=(CudaMemory&& other) noexcept;
  ~CudaMemory();

  /// Bytes [offset, offset + count), from or to host memory; the call returns when they are there. Errors:
  /// invalid_argument (beyond the end), device_error.
  Status write(const void* from, size_t offset, size_t count);
  Status read(void* to, size_t offset, size_t count) const;

  /// An address on the device: not to be followed here.
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver gives addresses as integers
  [[nodiscard]] void* data() const { return reinterpret_cast<void*>(address_); }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  uintptr_t address_ = 0;
  size_t size_ = 0;
};

}  // namespace flash_mla
