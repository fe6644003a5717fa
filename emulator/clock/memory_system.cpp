#include "clock/memory_system.h"

#include <algorithm>

namespace emulator::clock {
namespace {

uint64_t scattered(uint64_t value) {
  value *= 0x9e3779b97f4a7c15ull;
  return value ^ value >> 29;
}

}  // namespace

MemorySystem::MemorySystem(const Parameters& parameters)
    : sets_(std::max<size_t>(1, static_cast<size_t>(parameters.l2_capacity / (kLineBytes * kWays)))),
      entries_(sets_ * kWays),
      oldest_(sets_, 0),
      l2_(parameters.l2_bytes),
      hbm_(parameters.hbm_bytes_per_second / parameters.clock_hz) {
  if (!parameters.l2_starts_dirty) return;
  for (Entry& entry : entries_) entry.dirty = (1 << kSectors) - 1;
}

MemorySystem::Entry* MemorySystem::set_of(uint64_t line) {
  return entries_.data() + scattered(line) % sets_ * kWays;
}

MemorySystem::Entry& MemorySystem::find_or_place(uint64_t line, double& evicted) {
  Entry* const set = set_of(line);
  for (size_t way = 0; way < kWays; ++way) {
    if (set[way].line == line) return set[way];
  }
  uint8_t& oldest = oldest_[static_cast<size_t>(set - entries_.data()) / kWays];
  Entry& entry = set[oldest];
  oldest = static_cast<uint8_t>((oldest + 1) % kWays);
  evicted += bytes_of_sectors(entry.dirty);
  entry = {line, 0, 0, 0};
  return entry;
}

double MemorySystem::read(double time, const Line* lines, size_t count, Latency latency) {
  double bytes = 0, missed = 0, evicted = 0, there = 0;
  for (size_t i = 0; i < count; ++i) bytes += bytes_of(lines[i]);
  const double passed = l2_.pass(time, bytes);
  constexpr size_t kMost = 256;  // a box's rows, most often
  Entry* placed[kMost];
  size_t placed_count = 0;
  const auto fetch = [&] {
    if (placed_count == 0) return;
    const double fetched = hbm_.pass(time, missed + evicted);
    for (size_t i = 0; i < placed_count; ++i) placed[i]->there = fetched + latency.miss - latency.hit / 2;
    there = std::max(there, std::max(fetched, passed) + latency.miss);
    placed_count = 0;
    missed = evicted = 0;
  };
  for (size_t i = 0; i < count; ++i) {
    Entry& entry = find_or_place(number_of(lines[i]), evicted);
    const uint32_t missing = sectors_of(lines[i]) & ~uint32_t{entry.held};
    if (missing == 0) {
      there = std::max({there, passed + latency.hit, entry.there + latency.hit / 2});
      continue;
    }
    entry.held = static_cast<uint8_t>(entry.held | missing);
    missed += bytes_of_sectors(missing);
    placed[placed_count++] = &entry;
    if (placed_count == kMost) fetch();
  }
  fetch();
  return std::max(there, time);
}

double MemorySystem::write(double time, const Line* lines, size_t count) {
  double bytes = 0, evicted = 0;
  for (size_t i = 0; i < count; ++i) {
    Entry& entry = find_or_place(number_of(lines[i]), evicted);
    entry.held = static_cast<uint8_t>(entry.held | sectors_of(lines[i]));
    entry.dirty = static_cast<uint8_t>(entry.dirty | sectors_of(lines[i]));
    bytes += bytes_of(lines[i]);
  }
  const double passed = l2_.pass(time, bytes);
  if (evicted > 0) hbm_.pass(passed, evicted);
  return passed;
}

}  // namespace emulator::clock
