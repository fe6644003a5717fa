// Memory that is used again from case to case, so that its pages are touched for the first time only once.
#pragma once

#include <cstddef>
#include <new>

#include "common/huge_pages.h"

namespace flash_mla::cli {

class Buffer {
 public:
  /// At least `bytes`, aligned to 64; what was in it is lost. Throws std::bad_alloc.
  std::byte* resize(size_t bytes) {
    if (bytes > capacity_) {
      memory_.reset();
      capacity_ = 0;
      memory_.reset(static_cast<std::byte*>(allocate_pages(bytes)));
      if (memory_ == nullptr) throw std::bad_alloc();
      capacity_ = bytes;
    }
    return memory_.get();
  }

 private:
  Memory<std::byte> memory_;
  size_t capacity_ = 0;
};

}  // namespace flash_mla::cli
