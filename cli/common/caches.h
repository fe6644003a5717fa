// The CPU's caches, from the kernel or, where it hides them (some sandboxes do), from the CPU itself.
#pragma once

#include <vector>

#include "common/machine.h"

namespace flash_mla::cli {

/// The caches of the first CPU, by level; empty if nobody tells.
std::vector<CacheLevel> read_caches();

}  // namespace flash_mla::cli
