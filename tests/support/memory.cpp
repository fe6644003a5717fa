#include "support/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace flash_mla::test {
namespace {

constexpr std::byte kPoisonByte{kPoison};

}  // namespace

// An inaccessible page, whole pages with the bytes inside, another inaccessible page.
Memory::Memory(size_t bytes, Border border) : bytes_(bytes) {
  if (border == Border::heap) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, bytes) != 0) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(memory);
    std::memset(data_, kPoison, bytes);
    return;
  }
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t slack = border == Border::poison ? 512 : 0;
  const size_t inside = std::max<size_t>((bytes + slack + page - 1) / page * page, page);
  mapped_bytes_ = inside + 2 * page;
  void* mapped = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<std::byte*>(mapped);
  std::byte* first = mapped_ + page;
  std::memset(first, kPoison, inside);
  mprotect(mapped_, page, PROT_NONE);
  mprotect(first + inside, page, PROT_NONE);
  data_ = border == Border::poison ? first + 256 : border == Border::before ? first : first + inside - bytes;
}

Memory::~Memory() {
  if (mapped_ != nullptr) {
    munmap(mapped_, mapped_bytes_);
  } else {
    std::free(data_);
  }
}

bool Memory::surroundings_intact() const {
  if (mapped_ == nullptr) return true;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto poison = [](std::byte byte) { return byte == kPoisonByte; };
  return std::all_of(mapped_ + page, data_, poison) &&
         std::all_of(data_ + bytes_, mapped_ + mapped_bytes_ - page, poison);
}

SparseMemory::SparseMemory(size_t bytes) : bytes_(bytes) {
  data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data_ == MAP_FAILED) data_ = nullptr;
}

SparseMemory::~SparseMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace flash_mla::test
