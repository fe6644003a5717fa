#include "machine/memory.h"

namespace emulator::machine {
namespace {

// Between allocations, so that what runs over the end of one does not land in the next.
constexpr uint64_t kGap = 1 << 16;
constexpr uint64_t kAlignment = 512;

/// The mask of bits [first, last) of a byte.
uint8_t bits(uint64_t first, uint64_t last) {
  return static_cast<uint8_t>((0xffu << first) & (0xffu >> (8 - last)));
}

/// Calls f(byte, mask) for the bytes that hold the bits [offset, offset + size).
template <class Byte, class F>
void each_byte(Byte* marks, uint64_t offset, uint64_t size, F f) {
  const uint64_t end = offset + size;
  while (offset < end) {
    const uint64_t base = offset & ~7ull;
    const uint64_t last = end - base < 8 ? end - base : 8;
    f(marks[base >> 3], bits(offset - base, last));
    offset = base + 8;
  }
}

}  // namespace

bool all_marked(const uint8_t* marks, uint64_t offset, uint64_t size) {
  bool all = true;
  each_byte(marks, offset, size, [&](uint8_t byte, uint8_t mask) { all &= (byte & mask) == mask; });
  return all;
}

void mark(uint8_t* marks, uint64_t offset, uint64_t size) {
  each_byte(marks, offset, size, [](uint8_t& byte, uint8_t mask) { byte |= mask; });
}

void unmark(uint8_t* marks, uint64_t offset, uint64_t size) {
  each_byte(marks, offset, size, [](uint8_t& byte, uint8_t mask) { byte &= static_cast<uint8_t>(~mask); });
}

uint64_t Memory::allocate(uint64_t size) {
  auto allocation = std::make_unique<Allocation>();
  allocation->start = next_;
  allocation->size = size;
  allocation->bytes.assign(size, 0xff);
  allocation->initialised.assign(size / 8 + 1, 0);
  next_ += (size + kGap + kAlignment - 1) / kAlignment * kAlignment;
  in_use_ += size;
  const uint64_t start = allocation->start;
  allocations_.emplace(start, std::move(allocation));
  return start;
}

bool Memory::free(uint64_t address) {
  const auto found = allocations_.find(address);
  if (found == allocations_.end()) return false;
  in_use_ -= found->second->size;
  last_ = nullptr;
  allocations_.erase(found);
  return true;
}

Allocation* Memory::find(uint64_t address, uint64_t size) {
  const auto holds = [&](const Allocation& allocation) {
    return address >= allocation.start && size <= allocation.size &&
           address - allocation.start <= allocation.size - size;
  };
  if (last_ != nullptr && holds(*last_)) return last_;
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return nullptr;
  Allocation& candidate = *std::prev(after)->second;
  if (!holds(candidate)) return nullptr;
  last_ = &candidate;
  return last_;
}

}  // namespace emulator::machine
