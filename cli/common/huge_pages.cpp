#include "common/huge_pages.h"

#include <sys/mman.h>

namespace flash_mla::cli {

void* allocate_pages(size_t bytes) {
  constexpr size_t kLine = 64, kHugePage = size_t{1} << 21;
  const size_t unit = bytes < kHugePage ? kLine : kHugePage;
  const size_t size = (bytes + unit - 1) / unit * unit;
  void* memory = std::aligned_alloc(unit, size);
  if (memory != nullptr && unit == kHugePage) madvise(memory, size, MADV_HUGEPAGE);
  return memory;
}

}  // namespace flash_mla::cli
