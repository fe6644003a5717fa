// Where arrays lie: in the CPU's memory or on a CUDA device.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "flash_mla/tensor.h"

namespace flash_mla::python {

namespace nb = nanobind;

inline constexpr int kCpu = -1;

/// Where an array of a call has to lie, and why.
struct Place {
  std::optional<int> device = kCpu;  ///< or that CUDA device; nullopt: anywhere
  void* stream = nullptr;            ///< on a CUDA device: the array is to be ready for it
  PyObject* error = PyExc_NotImplementedError;
  const char* because = "this function takes no arrays of CUDA";

  [[nodiscard]] bool allows(int found) const { return !device || *device == found; }
  /// Raises `error` for an array that lies on `found`.
  [[noreturn]] void refuse(const char* name, int found) const;
};

/// Whether an array says that it is on a CUDA device.
bool is_on_cuda(nb::handle array);

/// `stream` as the driver takes it: an int, an object with `__cuda_stream__` or `cuda_stream` (torch's); for None
/// torch's current one where `array` is a tensor on a CUDA device, else the default stream. Raises TypeError.
void* stream_of(nb::handle stream, nb::handle array);

/// Makes a CUDA device the thread's current one if it has none. Raises ValueError if another one is current.
void make_current(int device, const char* what);

/// `rank` 1, int32: its elements, copied from wherever they are. Raises ValueError, RuntimeError.
std::vector<int32_t> read_int32(const ConstTensor& tensor, int device, void* stream, const char* name);

}  // namespace flash_mla::python
