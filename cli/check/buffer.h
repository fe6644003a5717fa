// Memory that is used again from case to case, so that its pages are touched for the first time only once.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace flash_mla::cli {

class Buffer {
 public:
  /// At least `bytes`, aligned to 64; what was in it is lost. Throws std::bad_alloc.
  std::byte* resize(size_t bytes) {
    if (bytes > capacity_) {
      memory_.reset();
      capacity_ = 0;
      const size_t rounded = (bytes + 63) / 64 * 64;
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
      if (memory_ == nullptr) throw std::bad_alloc();
      capacity_ = rounded;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  size_t capacity_ = 0;
};

}  // namespace flash_mla::cli
