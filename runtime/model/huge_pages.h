// Memory for weights and caches, in huge pages where the system has them: every step reads all of it.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace flash_mla::runtime {

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using HugePages = std::unique_ptr<std::byte, Free>;

/// Null if there is not so much.
HugePages allocate_huge_pages(size_t bytes);

}  // namespace flash_mla::runtime
