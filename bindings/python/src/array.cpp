#include "array.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <typeinfo>
#include <utility>

#include "dlpack.h"
#include "raise.h"

namespace flash_mla::python {

namespace {

constexpr const char* kDTypes = "float32, bfloat16, float16, int32 or int64";

std::optional<DType> dtype_of(DlDataType type) {
  if (type.lanes != 1) return std::nullopt;
  if (type.code == kDlBfloat && type.bits == 16) return DType::bfloat16;
  if (type.code == kDlFloat && type.bits == 16) return DType::float16;
  if (type.code == kDlFloat && type.bits == 32) return DType::float32;
  if (type.code == kDlInt && type.bits == 32) return DType::int32;
  if (type.code == kDlInt && type.bits == 64) return DType::int64;
  return std::nullopt;
}

std::optional<DType> dtype_of(const char* format, Py_ssize_t item_size) {
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  if (std::strlen(format) != 1) return std::nullopt;
  switch (*format) {
    case 'e':
      return DType::float16;
    case 'f':
      return DType::float32;
    case 'i':
    case 'l':
    case 'q':
      return item_size == 4 ? DType::int32 : DType::int64;
    default:
      return std::nullopt;
  }
}

/// The dtype as the object's library prints it.
nb::object dtype_text(nb::handle object) {
  return nb::steal(PyObject_Str(nb::getattr(object, "dtype", nb::str("unknown")).ptr()));
}

[[noreturn]] void refuse_dtype(nb::handle object, const char* name) {
  raise(PyExc_ValueError, "%s has dtype %U; expected %s", name, dtype_text(object).ptr(), kDTypes);
}

/// kCpu, or the index of a CUDA device. Other devices are refused, and those that `place` does not allow.
int checked_device(DlDevice device, const char* name, const Place& place) {
  if (device.type != kDlCpu && device.type != kDlCudaHost && device.type != kDlCuda) {
    raise(PyExc_NotImplementedError, "%s is on a device of DLPack type %d; expected the CPU or CUDA", name,
          device.type);
  }
  const int found = device.type == kDlCuda ? device.index : kCpu;
  if (!place.allows(found)) place.refuse(name, found);
  return found;
}

/// The C interface of the object's type, if it offers one. The capsule belongs to the type, which lives on.
const DlExchangeApi* exchange_api(PyTypeObject* type) {
  static PyTypeObject* last_type = nullptr;  // guarded by the GIL; calls bring many tensors of one type
  static const DlExchangeApi* last_api = nullptr;
  if (type == last_type) return last_api;
  nb::handle handle(reinterpret_cast<PyObject*>(type));
  nb::object capsule = nb::getattr(handle, "__dlpack_c_exchange_api__", nb::none());
  const DlExchangeApi* api = nullptr;
  if (PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) {
    api = static_cast<const DlExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    if (api->version.major != 1 || api->tensor_from_object == nullptr) api = nullptr;
  }
  if (api != nullptr) {
    Py_INCREF(type);  // so that its address is not another type's one day
    last_type = type;
    last_api = api;
  }
  return api;
}

/// What the object's `__dlpack_device__` says; the CPU if it has none.
DlDevice device_of(nb::handle object, const char* name) {
  if (!nb::hasattr(object, "__dlpack_device__")) return {kDlCpu, 0};
  try {
    nb::tuple pair = nb::cast<nb::tuple>(object.attr("__dlpack_device__")());
    return {nb::cast<int32_t>(nb::int_(pair[0])), nb::cast<int32_t>(nb::int_(pair[1]))};
  } catch (const std::bad_cast&) {
    raise(PyExc_ValueError, "%s has a __dlpack_device__ that is no pair of ints", name);
  } catch (nb::python_error& error) {
    raise(PyExc_ValueError, "%s cannot be read through DLPack: %S", name, error.value().ptr());
  }
}

/// What the object's `__dlpack__` returns. Objects that cannot be read are refused in words that name the argument.
nb::object export_capsule(nb::handle object, const char* name, const Place& place) {
  nb::dict options;
  if (checked_device(device_of(object, name), name, place) != kCpu) {
    // The default stream has a number of its own there: 1.
    options["stream"] = std::max<uintptr_t>(1, reinterpret_cast<uintptr_t>(place.stream));
  }
  try {
    try {
      return object.attr("__dlpack__")(nb::arg("max_version") = nb::make_tuple(1, 0), **options);
    } catch (nb::python_error& error) {
      if (!error.matches(PyExc_TypeError)) throw;
      return object.attr("__dlpack__")(**options);  // before DLPack 1.0
    }
  } catch (nb::python_error& error) {
    raise(PyExc_ValueError, "%s cannot be read through DLPack: %S", name, error.value().ptr());
  }
}

}  // namespace

Array::Array(nb::handle object, const char* name, const char* shape, const Place& place, Access access) {
  read(object, name, shape, place, access, false);
}

Array Array::of_bytes(nb::handle object, const char* name, const Place& place) {
  Array array{Unread{}};
  array.read(object, name, "bytes", place, Access::write, true);
  if (!array.contiguous()) raise(PyExc_ValueError, "%s is not contiguous; expected one run of bytes", name);
  return array;
}

Array::Array(Array&& other) noexcept
    : tensor_(other.tensor_),
      item_size_(other.item_size_),
      device_(other.device_),
      buffer_(other.buffer_),
      has_buffer_(std::exchange(other.has_buffer_, false)),
      owner_(std::move(other.owner_)) {}

Array::~Array() {
  if (has_buffer_) PyBuffer_Release(&buffer_);
}

int64_t Array::bytes() const {
  int64_t count = item_size_;
  for (int axis = 0; axis < tensor_.rank; ++axis) count *= tensor_.shape[axis];
  return count;
}

bool Array::contiguous() const {
  int64_t stride = 1;
  for (int axis = tensor_.rank - 1; axis >= 0; --axis) {
    if (tensor_.shape[axis] != 1 && tensor_.strides[axis] != stride) return bytes() == 0;
    stride *= tensor_.shape[axis];
  }
  return true;
}

void Array::read(nb::handle object, const char* name, const char* shape, const Place& place, Access access,
                 bool any_type) {
  if (object.is_none()) return;
  if (read_buffer(object, name, place, access, any_type)) return;  // NumPy: cheaper than asking for DLPack
  if (read_exchange(object, name, place, any_type)) return;
  if (read_capsule(object, name, place, access, any_type)) return;
  raise(PyExc_TypeError, "%s is a %s; expected an array %s", name, kind_of(object), shape);
}

void Array::take(const DlTensor& tensor, const char* name, const Place& place, bool any_type) {
  device_ = checked_device(tensor.device, name, place);
  if (tensor.ndim > kMaxRank)
    raise(PyExc_ValueError, "%s has rank %d; expected at most %d", name, tensor.ndim, kMaxRank);
  const std::optional<DType> dtype = dtype_of(tensor.dtype);
  if (!dtype && !any_type) refuse_dtype(owner_, name);
  tensor_.dtype = dtype.value_or(DType::float32);
  item_size_ = (int64_t{tensor.dtype.bits} * tensor.dtype.lanes + 7) / 8;
  tensor_.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  tensor_.rank = tensor.ndim;
  int64_t stride = 1;
  for (int axis = tensor.ndim - 1; axis >= 0; --axis) {
    tensor_.shape[axis] = tensor.shape[axis];
    tensor_.strides[axis] = tensor.strides != nullptr ? tensor.strides[axis] : stride;
    stride *= tensor.shape[axis];
  }
}

bool Array::read_exchange(nb::handle object, const char* name, const Place& place, bool any_type) {
  const DlExchangeApi* api = exchange_api(Py_TYPE(object.ptr()));
  if (api == nullptr) return false;
  DlTensor tensor{};
  if (api->tensor_from_object(object.ptr(), &tensor) != 0) {
    PyErr_Clear();
    return false;  // the Python protocol says why
  }
  owner_ = nb::borrow(object);
  take(tensor, name, place, any_type);
  return true;
}

bool Array::read_buffer(nb::handle object, const char* name, const Place& place, Access access, bool any_type) {
  nb::object exporter = nb::borrow(object);
  const bool is_buffer = PyObject_CheckBuffer(object.ptr()) != 0;
  if (!is_buffer) return false;
  std::optional<DType> dtype;
  constexpr int kFlags = PyBUF_STRIDES | PyBUF_FORMAT;
  int status = PyObject_GetBuffer(exporter.ptr(), &buffer_, kFlags);
  if (status != 0) {
    // NumPy exports no buffer of types that are not its own: ml_dtypes' bfloat16 is read as 16-bit integers.
    PyErr_Clear();
    nb::object element = nb::getattr(object, "dtype", nb::none());
    nb::object element_name = nb::getattr(element, "name", nb::none());
    if (!nb::isinstance<nb::str>(element_name) || nb::cast<std::string>(element_name) != "bfloat16") {
      if (element.is_none()) return false;
      refuse_dtype(object, name);
    }
    exporter = object.attr("view")("uint16");
    dtype = DType::bfloat16;
    status = PyObject_GetBuffer(exporter.ptr(), &buffer_, kFlags);
    if (status != 0) throw nb::python_error();
  }
  has_buffer_ = true;
  owner_ = exporter;
  if (access == Access::write && buffer_.readonly) {
    raise(PyExc_ValueError, "%s is read-only; expected memory that can be written", name);
  }
  if (buffer_.ndim > kMaxRank) {
    raise(PyExc_ValueError, "%s has rank %d; expected at most %d", name, buffer_.ndim, kMaxRank);
  }
  if (!dtype) dtype = dtype_of(buffer_.format != nullptr ? buffer_.format : "B", buffer_.itemsize);
  if (!dtype && !any_type) {
    if (!nb::hasattr(object, "dtype")) return false;  // bytes and the like are no arrays
    refuse_dtype(object, name);
  }
  if (!place.allows(kCpu)) place.refuse(name, kCpu);
  tensor_.dtype = dtype.value_or(DType::float32);
  item_size_ = buffer_.itemsize;
  tensor_.data = buffer_.buf;
  tensor_.rank = buffer_.ndim;
  for (int axis = 0; axis < buffer_.ndim; ++axis) {
    tensor_.shape[axis] = buffer_.shape[axis];
    if (buffer_.strides[axis] % buffer_.itemsize != 0) {
      raise(PyExc_ValueError, "%s has a stride of %zd bytes on axis %d; expected a multiple of %zd", name,
            buffer_.strides[axis], axis, buffer_.itemsize);
    }
    tensor_.strides[axis] = buffer_.strides[axis] / buffer_.itemsize;
  }
  return true;
}

bool Array::read_capsule(nb::handle object, const char* name, const Place& place, Access access, bool any_type) {
  if (PyType_Check(object.ptr()) || !nb::hasattr(object, "__dlpack__")) return false;
  const nb::object capsule = export_capsule(object, name, place);
  owner_ = capsule;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    const auto& managed =
        *static_cast<DlManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (managed.version.major != 1)
      raise(PyExc_ValueError, "%s speaks DLPack %u; expected 1", name, managed.version.major);
    if (access == Access::write && (managed.flags & kDlReadOnly) != 0) {
      raise(PyExc_ValueError, "%s is read-only; expected memory that can be written", name);
    }
    take(managed.tensor, name, place, any_type);
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    take(static_cast<DlManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->tensor, name, place, any_type);
  } else {
    return false;
  }
  return true;
}

}  // namespace flash_mla::python
