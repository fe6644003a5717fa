#include "machine/launch.h"

#include <algorithm>
#include <utility>

#include "support/format.h"

namespace emulator::machine {
namespace {

constexpr uint32_t kMaxShared = 232448;  // a CTA's, 227 KiB
constexpr size_t kMaxResident = 132;     // clusters that run at the same time

std::string text_of(const std::array<uint32_t, 3>& extents) {
  return format("({}, {}, {})", extents[0], extents[1], extents[2]);
}

uint64_t volume(const std::array<uint32_t, 3>& extents) {
  return static_cast<uint64_t>(extents[0]) * extents[1] * extents[2];
}

Fault stuck(const LaunchState& state, const std::vector<std::unique_ptr<Cluster>>& resident) {
  std::string text = format("deadlock: kernel {} cannot go on; its threads:\n", state.program->name);
  for (const auto& cluster : resident) text += cluster->describe_waiting();
  return {{Finding::deadlock, std::move(text), true}};
}

void run_grid(LaunchState& state) {
  const LaunchShape& shape = state.shape;
  const uint64_t count = volume(shape.grid) / volume(shape.cluster);
  // One cluster runs for a long turn, as others that need nothing of it do not gain from running in between; one that
  // has not finished by then may be waiting for others.
  constexpr uint32_t kTurn = 1 << 16;
  std::vector<std::unique_ptr<Cluster>> resident;
  uint64_t started = 0;
  size_t current = 0;
  size_t stuck_in_a_row = 0;
  while (started < count || !resident.empty()) {
    if (current >= resident.size()) {
      current = 0;
      if (started < count && resident.size() < kMaxResident) {
        current = resident.size();
        resident.push_back(std::make_unique<Cluster>(state, started++));
        stuck_in_a_row = 0;
      }
    }
    const uint64_t instructions = state.counters.warp_instructions;
    switch (resident[current]->step(kTurn)) {
      case Cluster::State::finished:
        resident.erase(resident.begin() + static_cast<std::ptrdiff_t>(current));
        stuck_in_a_row = 0;
        break;
      case Cluster::State::running:
        ++current;
        stuck_in_a_row = 0;
        break;
      case Cluster::State::stuck:
        // Blocked, or spinning with nothing to show for it: on what another cluster does, perhaps.
        if (instructions == state.counters.warp_instructions ||
            state.counters.warp_instructions - state.last_progress > state.options.patience) {
          ++stuck_in_a_row;
        }
        ++current;
        if (stuck_in_a_row > resident.size() && (started == count || resident.size() == kMaxResident)) {
          throw stuck(state, resident);
        }
        break;
    }
  }
}

}  // namespace

void Counters::add(const Counters& other) {
  warp_instructions += other.warp_instructions;
  thread_instructions += other.thread_instructions;
  global_load_bytes += other.global_load_bytes;
  global_store_bytes += other.global_store_bytes;
  global_load_sectors += other.global_load_sectors;
  global_store_sectors += other.global_store_sectors;
  bulk_load_bytes += other.bulk_load_bytes;
  bulk_store_bytes += other.bulk_store_bytes;
  bulk_operations += other.bulk_operations;
  shared_accesses += other.shared_accesses;
  shared_wavefronts += other.shared_wavefronts;
  shared_ideal_wavefronts += other.shared_ideal_wavefronts;
  tensor_macs += other.tensor_macs;
  wgmmas += other.wgmmas;
  executions.resize(std::max(executions.size(), other.executions.size()), 0);
  for (size_t i = 0; i < other.executions.size(); ++i) executions[i] += other.executions[i];
}

std::string refuse(const Program& program, const LaunchShape& shape) {
  const uint64_t threads = volume(shape.block);
  if (volume(shape.grid) == 0 || threads == 0)
    return format("grid {} of blocks {} is empty", text_of(shape.grid), text_of(shape.block));
  if (threads > 1024) return format("block {} has {} threads; at most 1024 are allowed", text_of(shape.block), threads);
  if (shape.block[2] > 64) return format("block {} is deeper than 64", text_of(shape.block));
  if (shape.grid[0] > 0x7fffffffu || shape.grid[1] > 65535 || shape.grid[2] > 65535) {
    return format("grid {} is larger than (2147483647, 65535, 65535)", text_of(shape.grid));
  }
  if (program.max_threads[0] != 0 && threads > volume(program.max_threads)) {
    return format("block {} has more threads than .maxntid {}", text_of(shape.block), text_of(program.max_threads));
  }
  if (program.required_threads[0] != 0 && shape.block != program.required_threads) {
    return format("block {} is not .reqntid {}", text_of(shape.block), text_of(program.required_threads));
  }
  if (program.cluster[0] != 0 && shape.cluster != program.cluster) {
    return format("cluster {} is not .reqnctapercluster {}", text_of(shape.cluster), text_of(program.cluster));
  }
  if (volume(shape.cluster) == 0 || volume(shape.cluster) > 16) {
    return format("cluster {} has no CTA or more than 16", text_of(shape.cluster));
  }
  for (size_t axis = 0; axis < 3; ++axis) {
    if (shape.grid[axis] % shape.cluster[axis] != 0) {
      return format("grid {} is no multiple of cluster {}", text_of(shape.grid), text_of(shape.cluster));
    }
  }
  const uint64_t shared = static_cast<uint64_t>(program.static_shared_end) - kSharedStart + shape.dynamic_shared;
  if (shared > kMaxShared) return format("{} bytes of shared memory; a CTA has {}", shared, kMaxShared);
  return {};
}

Counters run(const Program& program, const LaunchShape& shape, const std::vector<uint8_t>& parameters, Memory& memory,
             const Options& options, Reports& reports, Prerequisites* stream) {
  LaunchState state{&program, shape, options, &memory, &parameters, &reports};
  state.counters.executions.assign(program.ops.size(), 0);
  const std::string refusal = refuse(program, shape);
  if (!refusal.empty()) {
    reports.add_fatal({Finding::launch, "launch: " + refusal, true});
    return state.counters;
  }
  if (stream != nullptr && !shape.dependent) stream->clear();
  if (stream != nullptr && !stream->empty()) state.before = stream;
  try {
    run_grid(state);
  } catch (Fault& fault) {
    reports.add_fatal(std::move(fault.report));
  }
  if (stream != nullptr) options.checks ? stream->add(state) : stream->clear();
  return state.counters;
}

}  // namespace emulator::machine
