#include "place.h"

#include <nanobind/stl/string.h>

#include <string>

#include "dlpack.h"
#include "flash_mla/cuda.h"
#include "raise.h"

namespace flash_mla::python {

namespace {

std::string text_of_place(int device) {
  return device == kCpu ? "in the CPU's memory" : "on CUDA device " + std::to_string(device);
}

void* address_of(nb::handle number) {
  const int64_t value = int_of(number, "stream");
  if (value < 0) raise(PyExc_ValueError, "stream = %lld; expected 0 or more", static_cast<long long>(value));
  // NOLINTNEXTLINE(performance-no-int-to-ptr): streams are passed as integers
  return reinterpret_cast<void*>(static_cast<uintptr_t>(value));
}

}  // namespace

void Place::refuse(const char* name, int found) const {
  raise(error, "%s is %s; expected %s: %s", name, text_of_place(found).c_str(),
        text_of_place(device.value_or(kCpu)).c_str(), because);
}

bool is_on_cuda(nb::handle array) {
  if (PyObject_CheckBuffer(array.ptr()) != 0 || PyType_Check(array.ptr())) return false;
  const nb::object is_cuda = nb::getattr(array, "is_cuda", nb::none());  // torch's, the cheap way
  if (PyBool_Check(is_cuda.ptr())) return is_cuda.ptr() == Py_True;
  if (!nb::hasattr(array, "__dlpack_device__")) return false;
  try {
    nb::tuple pair = nb::cast<nb::tuple>(array.attr("__dlpack_device__")());
    return nb::cast<int>(nb::int_(pair[0])) == kDlCuda;
  } catch (const std::exception&) {
    return false;  // whoever reads it says what is wrong
  }
}

void* stream_of(nb::handle stream, nb::handle array) {
  if (stream.is_none()) {
    nb::object is_cuda = nb::getattr(array, "is_cuda", nb::none());  // torch's tensors have it
    if (is_cuda.ptr() != Py_True || !nb::hasattr(array, "new_empty")) return nullptr;
    return address_of(
        nb::module_::import_("torch").attr("cuda").attr("current_stream")(array.attr("device")).attr("cuda_stream"));
  }
  if (PyLong_Check(stream.ptr())) return address_of(stream);
  if (nb::hasattr(stream, "__cuda_stream__")) {
    nb::tuple pair;
    if (!nb::try_cast(stream.attr("__cuda_stream__")(), pair) || nb::len(pair) != 2) {
      raise(PyExc_TypeError, "stream has a __cuda_stream__ that returns no pair of ints");
    }
    return address_of(pair[1]);
  }
  if (nb::hasattr(stream, "cuda_stream")) return address_of(stream.attr("cuda_stream"));
  raise(PyExc_TypeError, "stream is a %s; expected an int or an object with __cuda_stream__ or cuda_stream",
        kind_of(stream));
}

void make_current(int device, const char* what) {
  const Result<int> current = cuda_current_device();
  raise_if_error(current.status());
  if (current.value() == device) return;
  if (current.value() < 0) return raise_if_error(cuda_use_device(device));
  raise(PyExc_ValueError, "%s is on CUDA device %d; the thread's current device is %d", what, device, current.value());
}

std::vector<int32_t> read_int32(const ConstTensor& tensor, int device, void* stream, const char* name) {
  std::vector<int32_t> values(static_cast<size_t>(tensor.shape[0]));
  if (device == kCpu) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<const int32_t*>(tensor.data)[static_cast<int64_t>(i) * tensor.strides[0]];
    }
    return values;
  }
  if (values.size() > 1 && tensor.strides[0] != 1) {
    raise(PyExc_ValueError, "%s has stride %lld; expected 1 on a CUDA device", name,
          static_cast<long long>(tensor.strides[0]));
  }
  make_current(device, name);
  Status status;
  {
    const nb::gil_scoped_release release;
    status = cuda_read(values.data(), tensor.data, values.size() * sizeof(int32_t), stream);
  }
  raise_if_error(status);
  return values;
}

}  // namespace flash_mla::python
