// Large arrays in huge pages, which spare most of the TLB misses of shuffled KV pages.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace flash_mla::cli {

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
template <class T>
using Memory = std::unique_ptr<T[], FreeMemory>;

/// At least `bytes`, aligned to 64; huge pages where they fit in and the system lends them. Null where there is no
/// memory left.
void* allocate_pages(size_t bytes);

}  // namespace flash_mla::cli
