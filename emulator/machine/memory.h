// Device memory: allocations with their bounds and which of their bytes have been written.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "machine/address.h"

namespace emulator::machine {

/// Bits of `initialised` for the bytes [offset, offset + size): every access of at most 16 bytes that does not straddle
/// an aligned 16 bytes needs two bytes of it.
bool all_marked(const uint8_t* marks, uint64_t offset, uint64_t size);
void mark(uint8_t* marks, uint64_t offset, uint64_t size);
void unmark(uint8_t* marks, uint64_t offset, uint64_t size);

struct Allocation {
  uint64_t start = 0, size = 0;
  bool read_only = false;  // .const variables
  std::vector<uint8_t> bytes;
  std::vector<uint8_t> initialised;
};

class Memory {
 public:
  /// `start`: the first address to give out, for memories that lie beside each other.
  explicit Memory(uint64_t start = kDeviceStart) : next_(start) {}

  /// Device address of new memory, aligned to 512 bytes. Its bytes start as 0xff: NaN as a number, far away as an
  /// index. Throws std::bad_alloc.
  uint64_t allocate(uint64_t size);
  /// False: no allocation starts there.
  bool free(uint64_t address);
  /// The allocation that holds all of [address, address + size), or null.
  Allocation* find(uint64_t address, uint64_t size);
  [[nodiscard]] size_t count() const { return allocations_.size(); }
  [[nodiscard]] uint64_t bytes_in_use() const { return in_use_; }

 private:
  std::map<uint64_t, std::unique_ptr<Allocation>> allocations_;
  Allocation* last_ = nullptr;
  uint64_t next_;
  uint64_t in_use_ = 0;
};

}  // namespace emulator::machine
