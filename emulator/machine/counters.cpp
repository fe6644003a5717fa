#include "machine/counters.h"

#include <algorithm>
#include <bit>

#include "machine/op.h"

namespace emulator::machine {
namespace {

constexpr uint32_t kBanks = 32;
constexpr uint32_t kSectorBytes = 32;

template <class T, class Add>
void add_lists(std::vector<T>& to, const std::vector<T>& from, Add add) {
  to.resize(std::max(to.size(), from.size()));
  for (size_t i = 0; i < from.size(); ++i) add(to[i], from[i]);
}

/// The words of a wavefront that is being put together. Lanes that want the same word share it.
class Banks {
 public:
  void want(uint32_t word) {
    uint32_t* const words = words_[word % kBanks];
    uint32_t& count = counts_[word % kBanks];
    for (uint32_t i = 0; i < count; ++i) {
      if (words[i] == word) return;
    }
    words[count++] = word;
    ++distinct_;
    most_ = std::max(most_, count);
  }
  [[nodiscard]] Pieces wavefronts() const { return {most_, (distinct_ + kBanks - 1) / kBanks}; }

 private:
  uint32_t counts_[kBanks] = {};
  uint32_t words_[kBanks][kLanes];  // NOLINT(cppcoreguidelines-pro-type-member-init): the first `counts_` are set
  uint32_t distinct_ = 0, most_ = 0;
};

/// Adds the accesses' bytes to `bytes`.
Pieces sectors_of(const GlobalAccess* accesses, uint32_t count, uint64_t& bytes) {
  uint64_t sectors[2 * kLanes];
  uint32_t wanted[2 * kLanes];  // of a sector's bytes, a bit each
  uint32_t distinct = 0, distinct_bytes = 0;
  const auto want = [&](uint64_t sector, uint32_t first, uint32_t end) {
    const uint32_t mask = (UINT32_MAX << first) & (UINT32_MAX >> (kSectorBytes - end));
    // Neighbours mostly want the sector that was found last.
    for (uint32_t i = distinct; i > 0; --i) {
      if (sectors[i - 1] != sector) continue;
      wanted[i - 1] |= mask;
      return;
    }
    sectors[distinct] = sector;
    wanted[distinct++] = mask;
  };
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t sector = accesses[i].address / kSectorBytes;
    const auto first = static_cast<uint32_t>(accesses[i].address % kSectorBytes);
    const uint32_t end = first + accesses[i].bytes;
    want(sector, first, std::min(end, kSectorBytes));
    if (end > kSectorBytes) want(sector + 1, 0, end - kSectorBytes);
    bytes += accesses[i].bytes;
  }
  for (uint32_t i = 0; i < distinct; ++i) distinct_bytes += static_cast<uint32_t>(std::popcount(wanted[i]));
  return {distinct, (distinct_bytes + kSectorBytes - 1) / kSectorBytes};
}

}  // namespace

void Counters::add(const Counters& other) {
  warp_instructions += other.warp_instructions;
  thread_instructions += other.thread_instructions;
  global_load_bytes += other.global_load_bytes;
  global_store_bytes += other.global_store_bytes;
  global_load_sectors += other.global_load_sectors;
  global_store_sectors += other.global_store_sectors;
  global_load_ideal_sectors += other.global_load_ideal_sectors;
  global_store_ideal_sectors += other.global_store_ideal_sectors;
  atomics += other.atomics;
  bulk_load_bytes += other.bulk_load_bytes;
  bulk_store_bytes += other.bulk_store_bytes;
  tensor_load_bytes += other.tensor_load_bytes;
  tensor_store_bytes += other.tensor_store_bytes;
  bulk_operations += other.bulk_operations;
  fetched_bytes += other.fetched_bytes;
  written_bytes += other.written_bytes;
  shared_accesses += other.shared_accesses;
  shared_wavefronts += other.shared_wavefronts;
  shared_ideal_wavefronts += other.shared_ideal_wavefronts;
  tensor_macs += other.tensor_macs;
  wgmmas += other.wgmmas;
  barrier_waits += other.barrier_waits;
  mbarrier_waits += other.mbarrier_waits;
  cluster_barrier_waits += other.cluster_barrier_waits;
  add_lists(executions, other.executions, [](uint64_t& to, uint64_t from) { to += from; });
  const auto add_pieces = [](Pieces& to, const Pieces& from) { to.add(from); };
  add_lists(wavefronts, other.wavefronts, add_pieces);
  add_lists(sectors, other.sectors, add_pieces);
}

void count_wavefronts(Counters& counters, uint32_t op, const uint32_t* offsets, uint32_t mask, uint32_t bytes) {
  const uint32_t lanes_at_once = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
  const uint32_t words = bytes <= 4 ? 1 : bytes / 4;
  Pieces all;
  for (uint32_t start = 0; start < kLanes; start += lanes_at_once) {
    uint32_t part = lanes_at_once == kLanes ? mask : mask >> start & ((1u << lanes_at_once) - 1);
    if (part == 0) continue;
    Banks banks;
    for (; part != 0; part &= part - 1) {
      const uint32_t word = offsets[start + static_cast<uint32_t>(std::countr_zero(part))] / 4;
      for (uint32_t i = 0; i < words; ++i) banks.want(word + i);
    }
    all.add(banks.wavefronts());
  }
  ++counters.shared_accesses;
  counters.shared_wavefronts += all.touched;
  counters.shared_ideal_wavefronts += all.ideal;
  counters.wavefronts[op].add(all);
}

void count_global_loads(Counters& counters, uint32_t op, const GlobalAccess* accesses, uint32_t count) {
  if (count == 0) return;
  const Pieces pieces = sectors_of(accesses, count, counters.global_load_bytes);
  counters.global_load_sectors += pieces.touched;
  counters.global_load_ideal_sectors += pieces.ideal;
  counters.sectors[op].add(pieces);
}

void count_global_stores(Counters& counters, uint32_t op, const GlobalAccess* accesses, uint32_t count) {
  if (count == 0) return;
  const Pieces pieces = sectors_of(accesses, count, counters.global_store_bytes);
  counters.global_store_sectors += pieces.touched;
  counters.global_store_ideal_sectors += pieces.ideal;
  counters.sectors[op].add(pieces);
}

}  // namespace emulator::machine
