// Arrays of Python objects as the library's tensors, without a copy: torch and whatever else speaks DLPack, and NumPy.
#pragma once

#include <Python.h>
#include <nanobind/nanobind.h>

#include <cstdint>

#include "flash_mla/tensor.h"
#include "place.h"

namespace flash_mla::python {

namespace nb = nanobind;

/// Whether the library writes to an array.
enum class Access { read, write };

/// A borrowed array: holds what keeps its memory alive, and is a tensor meanwhile. Make and destroy it with the GIL.
class Array {
 public:
  /// `object` may be None: an absent tensor. `name` and `shape` are for messages, as the contract writes them. Raises
  /// TypeError (no array), ValueError (dtype, rank, strides, read-only) or what `place` says.
  Array(nb::handle object, const char* name, const char* shape, const Place& place = {}, Access access = Access::read);
  Array(Array&& other) noexcept;
  Array& operator=(Array&&) = delete;
  ~Array();

  /// Fails for an array of bytes.
  [[nodiscard]] Tensor tensor() const { return tensor_; }
  [[nodiscard]] void* data() const { return tensor_.data; }
  [[nodiscard]] bool absent() const { return tensor_.absent(); }
  /// Of the elements, side by side or not.
  [[nodiscard]] int64_t bytes() const;
  [[nodiscard]] bool contiguous() const;
  /// kCpu, or the index of a CUDA device.
  [[nodiscard]] int device() const { return device_; }

  /// An array of any element type whose memory is one run: a workspace.
  static Array of_bytes(nb::handle object, const char* name, const Place& place);

 private:
  struct Unread {};
  explicit Array(Unread) {}
  void read(nb::handle object, const char* name, const char* shape, const Place& place, Access access, bool any_type);
  bool read_buffer(nb::handle object, const char* name, const Place& place, Access access, bool any_type);
  bool read_exchange(nb::handle object, const char* name, const Place& place, bool any_type);
  bool read_capsule(nb::handle object, const char* name, const Place& place, Access access, bool any_type);
  void take(const struct DlTensor& tensor, const char* name, const Place& place, bool any_type);

  Tensor tensor_;
  int64_t item_size_ = 0;
  int device_ = kCpu;
  Py_buffer buffer_{};
  bool has_buffer_ = false;
  nb::object owner_;
};

}  // namespace flash_mla::python
