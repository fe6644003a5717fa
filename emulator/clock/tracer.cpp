#include "clock/tracer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "machine/access.h"
#include "machine/address.h"
#include "machine/tensor_map.h"

namespace emulator::clock {
namespace {

using machine::Op;
using machine::Warp;

constexpr uint16_t kLongestRun = UINT16_MAX;

uint32_t first_lane(uint32_t mask) {
  return static_cast<uint32_t>(std::countr_zero(mask));
}

template <class F>
void each_lane(uint32_t mask, F f) {
  for (; mask != 0; mask &= mask - 1) f(first_lane(mask));
}

/// A shared address with the rank of its CTA in the cluster above, whether or not the kernel named it.
uint32_t absolute(const Warp& warp, uint64_t address) {
  const auto low = static_cast<uint32_t>(address);
  const uint32_t named = low >> machine::kRankShift;
  const uint32_t rank = named == 0 ? warp.cta->rank : named - 1;
  return rank << machine::kRankShift | (low & machine::kOffsetMask);
}
uint32_t rank_of(uint32_t address) {
  return address >> machine::kRankShift;
}

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

/// What mbarrier.try_wait is given: a parity, or a state, which has it in its lowest bit.
uint32_t parity_of(Warp& warp, const Op& op, uint32_t lane) {
  return (op.kind == 1 ? warp.lanes<uint32_t>(op.src[1])[lane]
                       : static_cast<uint32_t>(warp.lanes<uint64_t>(op.src[1])[lane])) &
         1;
}

StepKind step_of(Kind kind) {
  switch (kind) {
    case Kind::wgmma:
      return StepKind::wgmma;
    case Kind::wgmma_commit:
      return StepKind::wgmma_commit;
    case Kind::wgmma_wait:
      return StepKind::wgmma_wait;
    case Kind::cluster_arrive:
      return StepKind::cluster_arrive;
    case Kind::cluster_wait:
      return StepKind::cluster_wait;
    case Kind::bulk_commit:
      return StepKind::bulk_commit;
    case Kind::bulk_wait:
      return StepKind::bulk_wait;
    case Kind::small_commit:
      return StepKind::small_commit;
    case Kind::small_wait:
      return StepKind::small_wait;
    case Kind::fence:
      return StepKind::fence;
    case Kind::dependents:
      return StepKind::dependents;
    case Kind::dependency_wait:
      return StepKind::dependency_wait;
    default:
      return StepKind::run;
  }
}

/// Whether a wait for an mbarrier will pass for all lanes. One that does not is announced again: it has its place in
/// the trace where it passes, after what other lanes of the warp did in the meantime.
bool passes(Warp& warp, const Op& op, uint32_t mask) {
  bool all = true;
  each_lane(mask, [&](uint32_t lane) {
    const auto found = warp.cta->mbarriers.find(static_cast<uint32_t>(warp.address(op, lane)) & machine::kOffsetMask);
    all &= found != warp.cta->mbarriers.end() && (found->second.phase & 1) != parity_of(warp, op, lane);
  });
  return all;
}

/// A wait that had to wait is announced twice.
bool is_repeated(const WarpTrace& steps, const Step& step) {
  return !steps.empty() && steps.back().op == step.op && steps.back().kind == step.kind && steps.back().a == step.a;
}

void add_plain(uint32_t op, WarpTrace& steps) {
  if (!steps.empty()) {
    Step& last = steps.back();
    if (last.kind == StepKind::run && last.op + last.count == op && last.count < kLongestRun) {
      ++last.count;
      return;
    }
  }
  steps.push_back({op, 1, StepKind::run, 0, 0});
}

}  // namespace

Tracer::Tracer(const machine::Program& program, const machine::LaunchShape& shape) {
  trace_.code = code_of(program);
  trace_.shape = shape;
  trace_.shared_bytes = program.static_shared_end - machine::kSharedStart + shape.dynamic_shared;
  trace_.registers = program.max_registers;
  const uint32_t warps = (shape.block[0] * shape.block[1] * shape.block[2] + machine::kLanes - 1) / machine::kLanes;
  trace_.ctas.assign(static_cast<size_t>(shape.grid[0]) * shape.grid[1] * shape.grid[2], std::vector<WarpTrace>(warps));
}

void Tracer::executes(Warp& warp, const Op& op, uint32_t mask) {
  const machine::Cta& cta = *warp.cta;
  const auto& grid = trace_.shape.grid;
  WarpTrace& steps = trace_.ctas[cta.id[0] + static_cast<size_t>(grid[0]) *
                                                 (cta.id[1] + static_cast<size_t>(grid[1]) * cta.id[2])][warp.id];
  const Kind kind = trace_.code->instructions[op.number].kind;
  if (kind == Kind::plain || mask == 0) return add_plain(op.number, steps);
  const uint32_t lane = first_lane(mask);
  switch (kind) {
    case Kind::memory:
      return add_memory(warp, op, mask, steps);
    case Kind::bulk_copy:
      return add_bulk_copy(warp, op, mask, steps);
    case Kind::small_copy:
      return add_small_copy(warp, op, mask, steps);
    case Kind::mbarrier_arrive:
      return add_arrivals(warp, op, mask, steps);
    case Kind::mbarrier_init:
      return each_lane(mask, [&](uint32_t each) {
        steps.push_back({op.number, 1, StepKind::mbarrier_init, absolute(warp, warp.address(op, each)),
                         warp.lanes<uint32_t>(op.src[1])[each]});
      });
    case Kind::mbarrier_wait: {
      const bool polls = op.flags == 0;  // test_wait, which does not wait
      if (passes(warp, op, mask)) {
        steps.push_back(
            {op.number, 1, StepKind::mbarrier_wait, absolute(warp, warp.address(op, lane)), parity_of(warp, op, lane)});
      } else if (polls) {
        add_plain(op.number, steps);
      }
      return;
    }
    case Kind::barrier_sync:
    case Kind::barrier_arrive: {
      const bool has_count = (op.flags & 1) != 0;  // barriers.cpp, kHasCount
      const uint32_t threads = has_count ? warp.lanes<uint32_t>(op.src[1])[lane] : 0;
      const auto count = static_cast<uint16_t>(has_count ? threads / machine::kLanes : cta.warps.size());
      const Step step{op.number, count, kind == Kind::barrier_sync ? StepKind::barrier_sync : StepKind::barrier_arrive,
                      warp.lanes<uint32_t>(op.src[0])[lane], 0};
      if (!is_repeated(steps, step)) steps.push_back(step);
      return;
    }
    default: {
      const Step step{op.number, 1, step_of(kind), 0, 0};
      const bool may_wait = kind == Kind::cluster_wait || kind == Kind::bulk_wait || kind == Kind::small_wait;
      if (!may_wait || !is_repeated(steps, step)) steps.push_back(step);
    }
  }
}

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

/// Lanes that arrive at one barrier count together.
void Tracer::add_arrivals(Warp& warp, const Op& op, uint32_t mask, WarpTrace& steps) {
  enum Flag : uint32_t { kExpects = 1, kArrives = 2, kHasOperand = 8 };  // mbarrier.cpp
  std::map<uint32_t, Step> by_address;
  each_lane(mask, [&](uint32_t lane) {
    const uint32_t operand = (op.flags & kHasOperand) != 0 ? warp.lanes<uint32_t>(op.src[1])[lane] : 1;
    const bool expects = (op.flags & kExpects) != 0;
    const uint32_t address = absolute(warp, warp.address(op, lane));
    Step& step =
        by_address.try_emplace(address, Step{op.number, 0, StepKind::mbarrier_arrive, address, 0}).first->second;
    if ((op.flags & kArrives) != 0) step.count = static_cast<uint16_t>(step.count + (expects ? 1 : operand));
    if (expects) step.b += operand;
  });
  for (const auto& [address, step] : by_address) steps.push_back(step);
}

}  // namespace emulator::clock
