// The CUDA driver, opened by name when it is first needed. The library links nothing of CUDA.
#pragma once

#include "core/error.h"
#include "cuda/driver_api.h"
#include "flash_mla/status.h"

namespace flash_mla::cuda {

struct Driver {
// NOLINTBEGIN(bugprone-macro-parentheses): a type and a name
#define FLASH_MLA_DECLARE(member, name, type) \
  using Type_##member = type;                 \
  Type_##member* member = nullptr;
  FLASH_MLA_CUDA_ENTRY_POINTS(FLASH_MLA_DECLARE)
#undef FLASH_MLA_DECLARE
  // NOLINTEND(bugprone-macro-parentheses)
  ContextId* context_id = nullptr;  // null: an older driver
};

/// $FLASH_MLA_CUDA_DRIVER, or libcuda.so.1; opened and initialised once, and kept. Errors: unsupported (the message
/// says which file and why).
Result<const Driver*> driver();

/// ok for success; else device_error, with the driver's own words.
Status check(const Driver& driver, Result_ result, const char* call);

}  // namespace flash_mla::cuda
