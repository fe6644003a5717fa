// Memory whose borders are watched.
#pragma once

#include <cstddef>
#include <utility>

namespace flash_mla::test {

enum class Border {
  poison,  ///< bytes of all ones before and behind, to be looked at afterwards
  behind,  ///< an inaccessible page right behind the last byte
  before,  ///< an inaccessible page right before the first byte
  heap,    ///< the heap's own: what AddressSanitizer watches, to the byte
};

/// Bytes of all ones: NaN in every floating type, -1 in integers.
inline constexpr int kPoison = 0xff;

/// `bytes` bytes, poisoned, aligned to 64 (Border::behind: as far as `bytes` is a multiple of it).
class Memory {
 public:
  Memory(size_t bytes, Border border);
  ~Memory();
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept {
    std::swap(mapped_, other.mapped_), std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
    return *this;
  }

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] size_t size() const { return bytes_; }
  /// Whether the accessible bytes around are as they were.
  [[nodiscard]] bool surroundings_intact() const;

 private:
  std::byte* mapped_ = nullptr;  // the whole mapping; null: on the heap
  size_t mapped_bytes_ = 0;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Address space that takes memory only where it is touched; zeros until then.
class SparseMemory {
 public:
  /// `valid()` is false where the system does not lend that much address space.
  explicit SparseMemory(size_t bytes);
  ~SparseMemory();
  SparseMemory(const SparseMemory&) = delete;
  SparseMemory& operator=(const SparseMemory&) = delete;

  [[nodiscard]] bool valid() const { return data_ != nullptr; }
  [[nodiscard]] void* data() const { return data_; }

 private:
  void* data_;
  size_t bytes_;
};

}  // namespace flash_mla::test
