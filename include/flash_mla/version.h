// The library's version. CMake reads it from here; shared-library compatibility follows the major version, before 1.0
// the minor one. C may include this header too.
#pragma once

#include "flash_mla/export.h"

#define FLASH_MLA_VERSION_MAJOR 0
#define FLASH_MLA_VERSION_MINOR 1
#define FLASH_MLA_VERSION_PATCH 0

#ifdef __cplusplus
namespace flash_mla {
/// "major.minor.patch" of the library that is linked at run time.
FLASH_MLA_API const char* version();
}  // namespace flash_mla
#endif
