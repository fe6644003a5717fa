// The backends as objects: what the public list shows, and the kernels behind each.
#pragma once

#include <string_view>

#include "cpu/kernels.h"
#include "flash_mla/backend.h"

namespace flash_mla::dispatch {

struct Backend {
  BackendInfo info;
  const cpu::Kernels* kernels;  // null: not built, or not for the processor
};

/// As flash_mla::find_backend, but the object itself. Opens the CUDA driver only for a backend of that name.
Result<const Backend*> choose_backend(std::string_view name);

}  // namespace flash_mla::dispatch
