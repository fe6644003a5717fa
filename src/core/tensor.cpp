#include "flash_mla/tensor.h"

#include "flash_mla/version.h"

#define FLASH_MLA_STRINGIFY_(x) #x
#define FLASH_MLA_STRINGIFY(x) FLASH_MLA_STRINGIFY_(x)

namespace flash_mla {

size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::bfloat16:
    case DType::float16:
      return 2;
    case DType::int64:
      return 8;
  }
  return 0;
}

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float32";
    case DType::bfloat16:
      return "bfloat16";
    case DType::float16:
      return "float16";
    case DType::int32:
      return "int32";
    case DType::int64:
      return "int64";
  }
  return "unknown";
}

const char* version() {
  return FLASH_MLA_STRINGIFY(FLASH_MLA_VERSION_MAJOR) "." FLASH_MLA_STRINGIFY(
      FLASH_MLA_VERSION_MINOR) "." FLASH_MLA_STRINGIFY(FLASH_MLA_VERSION_PATCH);
}

}  // namespace flash_mla
