// Counts the allocations of this program.
#pragma once

#include <cstdint>

namespace flash_mla::plan::test {

/// Calls of the global operator new so far.
int64_t num_allocations();

}  // namespace flash_mla::plan::test
