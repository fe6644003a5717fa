// Who accessed global memory during a launch. Most of it is only read, so that pages are kept in short until somebody
// writes to them.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "machine/race.h"

namespace emulator::machine {

class GlobalShadow {
 public:
  struct Found {
    Conflict conflict;
    uint64_t address;
  };
  /// Records an access to [address, address + size) and returns the first earlier access that it conflicts with.
  /// `now`: but for `bytes`; its lane is that of the first byte.
  std::optional<Found> access(uint64_t address, uint32_t size, const Access& now, const View& view);

  /// An access to any of these bytes that one by somebody who is not ordered after would conflict with: for a read any
  /// write, for a write any access.
  [[nodiscard]] std::optional<Found> find(uint64_t address, uint32_t size, bool write) const;

 private:
  static constexpr uint32_t kPageBits = 12;
  static constexpr uint64_t kPage = 1 << kPageBits;
  using Bytes = Chunk<4>;

  /// A read of bytes of a page that nobody has written to.
  struct Read {
    Access access;
    uint32_t offset, size;
  };
  struct Page {
    std::vector<Read> reads;
    size_t oldest = 0;                // of `reads`, once there are as many as are kept
    std::unique_ptr<Bytes[]> chunks;  // once it has been written to
  };

  Page& page_of(uint64_t address);
  static void note_read(Page& page, uint32_t offset, uint32_t size, const Access& now);
  static void spread(Page& page);
  /// The access as chunk `chunk` sees it, if the access starts at `offset`.
  static Access part_of(const Access& access, uint32_t offset, uint32_t chunk, uint16_t bytes);

  std::unordered_map<uint64_t, Page> pages_;  // nodes stay where they are
  uint64_t last_number_ = 0;
  Page* last_ = nullptr;
};

}  // namespace emulator::machine
