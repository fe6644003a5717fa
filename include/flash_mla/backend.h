// The backends: what this build contains and what this machine can run.
#pragma once

#include <span>
#include <string_view>

#include "flash_mla/export.h"
#include "flash_mla/status.h"

namespace flash_mla {

struct BackendInfo {
  const char* name;         ///< "avx512_bf16", "avx512", "avx2", "neon_bf16", "neon", "scalar", "sm90"
  const char* description;  ///< the instructions it needs
  bool built;               ///< compiled into this library
  bool usable;              ///< built, and this machine can run it
  const char* reason;       ///< why it is not usable; "" if it is
  bool on_cuda;             ///< a call's arrays and workspace lie in a CUDA device's memory (flash_mla/cuda.h)
};

/// All backends this project knows: those of the processor, best first, then those of CUDA, for which the driver is
/// opened if there is one. The view is valid for the life of the process.
FLASH_MLA_API std::span<const BackendInfo> backends();

/// The backend a plan would take for `name`: that one, or for an empty name $FLASH_MLA_BACKEND, or the best usable one
/// of the processor: those of CUDA are taken by name only. Errors: not_found (unknown name), unsupported (not usable
/// here; the message says why).
FLASH_MLA_API Result<BackendInfo> find_backend(std::string_view name);

}  // namespace flash_mla
