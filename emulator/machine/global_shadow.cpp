#include "machine/global_shadow.h"

#include <algorithm>

namespace emulator::machine {

GlobalShadow::Page& GlobalShadow::page_of(uint64_t address) {
  const uint64_t number = address >> kPageBits;
  if (last_ == nullptr || number != last_number_) {
    last_ = &pages_[number];
    last_number_ = number;
  }
  return *last_;
}

Access GlobalShadow::part_of(const Access& access, uint32_t offset, uint32_t chunk, uint16_t bytes) {
  Access part = access;
  part.bytes = bytes;
  part.move_lane(static_cast<int>(chunk * kChunk) - static_cast<int>(offset));
  return part;
}

void GlobalShadow::note_read(Page& page, uint32_t offset, uint32_t size, const Access& now) {
  // Loops read the same again and again, and copies of boxes their rows.
  constexpr size_t kLookedAt = 4, kMost = 256;
  const size_t looked_at = std::min(page.reads.size(), kLookedAt);
  for (size_t i = 1; i <= looked_at; ++i) {
    Read& known = page.reads[page.reads.size() - i];
    Access& access = known.access;
    if (known.offset == offset && known.size == size && access.cluster == now.cluster && access.agent == now.agent &&
        access.op == now.op && access.lane == now.lane && access.lane_bits == now.lane_bits) {
      access.time = now.time;
      return;
    }
  }
  if (page.reads.size() < kMost) {
    page.reads.push_back({now, offset, size});
  } else {
    page.reads[page.oldest] = {now, offset, size};
    page.oldest = (page.oldest + 1) % kMost;
  }
}

void GlobalShadow::spread(Page& page) {
  const Knowledge nothing;
  const View view{nothing, 1, nullptr, 0, 0};
  page.chunks = std::make_unique<Bytes[]>(kPage / kChunk);
  for (const Read& read : page.reads) {
    each_chunk_of(read.offset, read.size, [&](uint32_t chunk, uint16_t bytes) {
      page.chunks[chunk].access(part_of(read.access, read.offset, chunk, bytes), view);
    });
  }
  page.reads = {};
}

std::optional<GlobalShadow::Found> GlobalShadow::access(uint64_t address, uint32_t size, const Access& now,
                                                        const View& view) {
  std::optional<Found> found;
  Access part = now;
  for (uint64_t end = address + size; address < end;) {
    const auto offset = static_cast<uint32_t>(address & (kPage - 1));
    const auto here = static_cast<uint32_t>(std::min<uint64_t>(end - address, kPage - offset));
    Page& page = page_of(address);
    if (page.chunks == nullptr && now.write) spread(page);
    if (page.chunks == nullptr) {
      note_read(page, offset, here, part);
    } else {
      each_chunk_of(offset, here, [&](uint32_t chunk, uint16_t bytes) {
        const auto conflict = page.chunks[chunk].access(part_of(part, offset, chunk, bytes), view);
        if (conflict && !found) found = Found{*conflict, (address & ~(kPage - 1)) + chunk * kChunk};
      });
    }
    address += here;
    part.move_lane(static_cast<int>(here));
  }
  return found;
}

std::optional<GlobalShadow::Found> GlobalShadow::find(uint64_t address, uint32_t size, bool write) const {
  for (uint64_t end = address + size; address < end;) {
    const auto offset = static_cast<uint32_t>(address & (kPage - 1));
    const auto here = static_cast<uint32_t>(std::min<uint64_t>(end - address, kPage - offset));
    const auto page = pages_.find(address >> kPageBits);
    std::optional<Found> found;
    if (page != pages_.end() && page->second.chunks != nullptr) {
      each_chunk_of(offset, here, [&](uint32_t chunk, uint16_t bytes) {
        for (const Access& access : page->second.chunks[chunk]) {
          if (!found && (access.bytes & bytes) != 0 && (write || access.write)) {
            found = Found{{Conflict::Kind::unordered, access}, (address & ~(kPage - 1)) + chunk * kChunk};
          }
        }
      });
    } else if (page != pages_.end() && write) {
      for (const Read& read : page->second.reads) {
        if (read.offset < offset + here && offset < read.offset + read.size) {
          found = Found{{Conflict::Kind::unordered, read.access}, address};
        }
      }
    }
    if (found) return found;
    address += here;
  }
  return std::nullopt;
}

}  // namespace emulator::machine
