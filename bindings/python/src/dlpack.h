// The parts of DLPack (version 1, https://dmlc.github.io/dlpack) that reading an array needs. The layouts are its ABI.
#pragma once

#include <cstdint>

namespace flash_mla::python {

struct DlDevice {
  int32_t type;
  int32_t index;
};
inline constexpr int32_t kDlCpu = 1;
inline constexpr int32_t kDlCuda = 2;
inline constexpr int32_t kDlCudaHost = 3;

struct DlDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
inline constexpr uint8_t kDlInt = 0;
inline constexpr uint8_t kDlUint = 1;
inline constexpr uint8_t kDlFloat = 2;
inline constexpr uint8_t kDlBfloat = 4;

struct DlTensor {
  void* data;
  DlDevice device;
  int32_t ndim;
  DlDataType dtype;
  int64_t* shape;
  int64_t* strides;  ///< in elements; null: row-major
  uint64_t byte_offset;
};

struct DlManagedTensor {  ///< in a capsule "dltensor"
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor*);
};

struct DlVersion {
  uint32_t major;
  uint32_t minor;
};

struct DlManagedTensorVersioned {  ///< in a capsule "dltensor_versioned"
  DlVersion version;
  void* context;
  void (*deleter)(DlManagedTensorVersioned*);
  uint64_t flags;
  DlTensor tensor;
};
inline constexpr uint64_t kDlReadOnly = 1;

/// What a type's `__dlpack_c_exchange_api__` capsule holds (DLPack 1.3): arrays are read without Python calls.
struct DlExchangeApi {
  DlVersion version;
  DlExchangeApi* previous;
  void* allocate;
  void* managed_from_object;
  void* managed_to_object;
  int (*tensor_from_object)(void* object, DlTensor* out);  ///< a view valid as long as the object; may be null
  void* current_stream;
};

}  // namespace flash_mla::python
