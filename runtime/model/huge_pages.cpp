#include "model/huge_pages.h"

#include <sys/mman.h>

namespace flash_mla::runtime {

HugePages allocate_huge_pages(size_t bytes) {
  constexpr size_t kLine = 64, kHugePage = size_t{1} << 21;
  const size_t unit = bytes < kHugePage ? kLine : kHugePage;
  const size_t size = (bytes + unit - 1) / unit * unit;
  HugePages memory(static_cast<std::byte*>(std::aligned_alloc(unit, size)));
  if (memory != nullptr && unit == kHugePage) madvise(memory.get(), size, MADV_HUGEPAGE);
  return memory;
}

}  // namespace flash_mla::runtime
