// Counts every allocation of this program: operator new, malloc and its kin, on all threads and in all libraries.
#pragma once

#include <cstdint>

namespace flash_mla::test {

int64_t num_allocations();

}  // namespace flash_mla::test
