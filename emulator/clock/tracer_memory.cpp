// Traces of accesses and copies: lines of global memory, wavefronts of shared memory.
#include <algorithm>
#include <bit>
#include <cstring>

#include "clock/tracer.h"
#include "clock/tracer_lanes.h"
#include "machine/access.h"
#include "machine/tensor_map.h"

namespace emulator::clock {
namespace {

using machine::Op;
using machine::Warp;

uint32_t wavefronts(const uint32_t* offsets, uint32_t mask, uint32_t bytes) {
  machine::Counters counters;
  machine::count_wavefronts(counters, offsets, mask, bytes);
  return static_cast<uint32_t>(counters.shared_wavefronts);
}

/// ldmatrix and stmatrix: lanes 8 i to 8 i + 7 have the rows of matrix i.
uint32_t matrix_wavefronts(Warp& warp, const Op& op) {
  uint32_t total = 0;
  for (uint32_t i = 0; i < op.count; ++i) {
    uint32_t offsets[machine::kLanes];
    for (uint32_t word = 0; word < machine::kLanes; ++word) {
      offsets[word] = static_cast<uint32_t>(warp.address(op, i * 8 + word / 4)) + word % 4 * 4;
    }
    total += wavefronts(offsets, machine::kAllLanes, 4);
  }
  return total;
}

}  // namespace

/// Loads, stores, atomics: lanes that reach shared memory, another CTA's and global memory are steps apart.
void Tracer::add_memory(Warp& warp, const Op& op, uint32_t mask, WarpTrace& steps) {
  const Instruction& instruction = trace_.code->instructions[op.number];
  const bool is_matrix = op.gather == machine::Gather::live;
  if (is_matrix) {
    steps.push_back({op.number, static_cast<uint16_t>(matrix_wavefronts(warp, op)), StepKind::shared, 0, 0});
    return;
  }
  const bool is_access = op.value != 0;  // atomics have a type instead
  const auto bytes = is_access ? static_cast<uint32_t>(op.value) * op.count : ptx::size_of(op.type);
  uint32_t offsets[machine::kLanes];
  uint32_t shared = 0, remote = 0;
  const auto first = static_cast<uint32_t>(trace_.lines.size());
  each_lane(mask, [&](uint32_t lane) {
    const uint64_t address = warp.address(op, lane);
    const bool in_window = machine::window_of(address) == machine::kSharedWindow;
    if (op.space == ptx::Space::shared || (op.space == ptx::Space::generic && in_window)) {
      const uint32_t at = absolute(warp, address);
      offsets[lane] = at & machine::kOffsetMask;
      (rank_of(at) == warp.cta->rank ? shared : remote) |= 1u << lane;
    } else if (op.space == ptx::Space::local || op.space == ptx::Space::constant || address < machine::kDeviceStart) {
      offsets[lane] = 4 * lane;  // in the first cache: a wavefront
      shared |= 1u << lane;
    } else {
      add_lines(address, bytes);
    }
  });
  if (shared != 0) {
    const uint32_t count = wavefronts(offsets, shared, bytes);
    steps.push_back({op.number, static_cast<uint16_t>(count), StepKind::shared, 0, 0});
  }
  if (remote != 0) {
    steps.push_back({op.number, 1, StepKind::remote, 0, static_cast<uint32_t>(std::popcount(remote)) * bytes});
  }
  const uint16_t count = merge_lines(first);
  if (count == 0) return;
  steps.push_back({op.number, count, instruction.is_store ? StepKind::global_store : StepKind::global_load, first, 0});
}

void Tracer::add_lines(uint64_t address, uint64_t bytes) {
  const uint64_t end = address + bytes;
  while (address < end) {
    const uint64_t line_end = std::min(end, (address / kLineBytes + 1) * kLineBytes);
    const uint64_t first = address % kLineBytes / kSectorBytes, last = (line_end - 1) % kLineBytes / kSectorBytes;
    trace_.lines.push_back((address / kLineBytes) << kSectors | ((2ull << last) - (1ull << first)));
    address = line_end;
  }
}

/// A warp's accesses to a line are one. Returns how many lines there are from `first` on.
uint16_t Tracer::merge_lines(size_t first) {
  const auto begin = trace_.lines.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, trace_.lines.end());
  auto end = begin;
  for (auto line = begin; line != trace_.lines.end(); ++line) {
    if (end != begin && number_of(*(end - 1)) == number_of(*line)) {
      *(end - 1) |= *line;
    } else {
      *end++ = *line;
    }
  }
  trace_.lines.erase(end, trace_.lines.end());
  return static_cast<uint16_t>(trace_.lines.size() - first);
}

void Tracer::add_box(Warp& warp, const Op& op, uint32_t lane, size_t map_source, Copy& copy) {
  machine::TensorMap map;
  const machine::Place place = machine::find_place(warp, op, lane, ptx::Space::generic,
                                                   warp.address(op, lane, map_source), 128, machine::Use::read);
  std::memcpy(&map, place.bytes, sizeof(map));
  if (map.magic != machine::TensorMap::kMagic || op.list.size() != map.rank) return;  // the machine's to report
  machine::TensorMap::Coordinates at{};
  for (size_t i = 0; i < op.list.size(); ++i) at[i] = warp.lanes<int32_t>(op.list[i])[lane];
  const auto [begin, end] = machine::elements_inside(map, at);
  const auto bytes = static_cast<uint64_t>(end - begin) * map.element_bytes;
  machine::each_row(map, at, [&, first = begin](uint32_t, uint64_t row, bool inside) {
    if (inside) add_lines(row + static_cast<uint64_t>(at[0] + first) * map.element_bytes, bytes);
  });
  copy.bytes = map.box_bytes();
}

void Tracer::add_bulk_copy(Warp& warp, const Op& op, uint32_t mask, WarpTrace& steps) {
  const Instruction& instruction = trace_.code->instructions[op.number];
  each_lane(mask, [&](uint32_t lane) {
    Copy copy;
    copy.first_line = static_cast<uint32_t>(trace_.lines.size());
    const bool loads = instruction.way == Way::load, stores = instruction.way == Way::store;
    if (instruction.is_tensor_copy) {
      add_box(warp, op, lane, loads ? 1 : 0, copy);
    } else {
      copy.bytes = warp.lanes<uint32_t>(op.src[stores ? 2 : 3])[lane];
      if (instruction.way != Way::send) add_lines(warp.address(op, lane, loads ? 1 : 0), copy.bytes);
    }
    copy.lines = static_cast<uint32_t>(trace_.lines.size()) - copy.first_line;
    if (!stores) {
      const uint32_t to = absolute(warp, warp.address(op, lane, 0));
      const bool multicast = loads && op.kind != 0;
      const machine::Slot ranks = op.src[instruction.is_tensor_copy ? 3 : 4];
      copy.ranks = static_cast<uint16_t>(multicast ? warp.lanes<uint32_t>(ranks)[lane] : 1u << rank_of(to));
      copy.barrier = static_cast<uint32_t>(warp.address(op, lane, 2)) & machine::kOffsetMask;
    }
    const StepKind kind = loads ? StepKind::load_copy : stores ? StepKind::store_copy : StepKind::send_copy;
    steps.push_back({op.number, 1, kind, static_cast<uint32_t>(trace_.copies.size()), 0});
    trace_.copies.push_back(copy);
  });
}

void Tracer::add_small_copy(Warp& warp, const Op& op, uint32_t mask, WarpTrace& steps) {
  const auto first = static_cast<uint32_t>(trace_.lines.size());
  const auto size = static_cast<uint32_t>(op.value);
  uint32_t offsets[machine::kLanes];
  each_lane(mask, [&](uint32_t lane) {
    offsets[lane] = static_cast<uint32_t>(warp.address(op, lane, 0)) & machine::kOffsetMask;
    const uint32_t bytes = op.sources > 2 ? warp.lanes<uint32_t>(op.src[2])[lane] : size;
    if (bytes != 0) add_lines(warp.address(op, lane, 1), bytes);
  });
  const uint16_t count = merge_lines(first);
  steps.push_back({op.number, count, StepKind::small_copy, first, wavefronts(offsets, mask, size)});
}

}  // namespace emulator::clock
