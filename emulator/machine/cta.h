// A CTA, its cluster, and the launch they belong to.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "machine/counters.h"
#include "machine/memory.h"
#include "machine/flags.h"
#include "machine/global_shadow.h"
#include "machine/prerequisites.h"
#include "machine/race.h"
#include "machine/warp.h"

namespace emulator::machine {

struct LaunchShape {
  std::array<uint32_t, 3> grid{1, 1, 1}, block{1, 1, 1}, cluster{1, 1, 1};
  uint32_t dynamic_shared = 0;
  /// The grid may start while those before it in its stream finish (programmatic stream serialization).
  bool dependent = false;
};

struct Options {
  uint64_t seed = 1;
  bool checks = true;  // races, uninitialised reads, registers in flight
  /// Warp-instructions without any store, barrier or copy after which the launch is taken to hang.
  uint64_t patience = 20'000'000;
};

/// bar.sync and its kin.
struct NamedBarrier {
  uint32_t expected = 0, arrived = 0;
  uint32_t generation = 0;
  uint32_t reduced = 0;       // bar.red: of the arrivals so far
  uint32_t last_reduced = 0;  // of the generation before
  Knowledge gathering, released;
};

/// An mbarrier object. Its 64 bits in memory stay opaque: the manual gives them no layout.
struct Mbarrier {
  uint32_t count = 0;    // arrivals a phase
  uint32_t pending = 0;  // still missing
  int64_t transactions = 0;
  uint32_t phase = 0;  // phases completed
  Agent agent = 0;     // of the copies that complete on it
  Agent initializer = 0;
  uint32_t initialized_at = 0;
  bool fenced = false;  // fence.mbarrier_init or a proxy fence since its initialisation
  Knowledge gathering, released;
  Clock remote_arrivals;  // of warps of other CTAs
};

/// Where the four warps of a warpgroup meet.
struct Warpgroup {
  uint32_t arrived = 0, generation = 0, pc = 0;
};

struct LaunchState {
  const Program* program;
  LaunchShape shape;
  Options options;
  Memory* memory;
  const std::vector<uint8_t>* parameters;
  Reports* reports;
  Counters counters{};
  uint64_t last_progress = 0;  // counters.warp_instructions when something last happened
  std::unique_ptr<GlobalShadow> global = std::make_unique<GlobalShadow>();
  Flags flags{};
  const Prerequisites* before = nullptr;  // null: everything before has finished
  Overlap overlap{};
};

class Cta {
 public:
  Cta(Cluster& cluster, std::array<uint32_t, 3> id, uint32_t rank);

  Cluster* cluster;
  std::array<uint32_t, 3> id;
  uint32_t rank;
  std::vector<Warp> warps;
  std::vector<uint8_t> shared;       // by offset; below kSharedStart nothing is used
  std::vector<uint8_t> initialised;  // a bit a byte of it
  std::vector<uint8_t> local;        // thread after thread
  std::vector<uint8_t> local_initialised;
  SharedShadow race;  // empty without checks
  std::array<NamedBarrier, 16> barriers;
  std::map<uint32_t, Mbarrier> mbarriers;  // by offset
  std::vector<Warpgroup> warpgroups;

  bool triggered = false;  // griddepcontrol.launch_dependents
  bool closed = false;     // its threads have exited, and close() has been called
  [[nodiscard]] bool finished() const;
  /// Checks that nobody may still be using its shared memory.
  void close();
  [[nodiscard]] std::string name() const;  // "CTA (0,0,0)"
  [[nodiscard]] const Program& program() const;
  [[nodiscard]] LaunchState& launch() const;
};

/// In reports.
std::string name_of(const LaunchShape& shape, uint32_t cluster, Agent agent);

/// CTAs that run at the same time and see each other's shared memory; most have one.
class Cluster {
 public:
  Cluster(LaunchState& launch, uint64_t position);

  enum class State : uint8_t { running, stuck, finished };
  /// Lets its warps run in random order for about `budget` instructions.
  State step(uint32_t budget);
  [[nodiscard]] std::string describe_waiting() const;

  /// Something that the asynchronous engines do at a random later time.
  void later(std::function<void()> action);
  uint32_t random(uint32_t below) { return below == 0 ? 0 : static_cast<uint32_t>(engine_() % below); }
  Agent new_agent() { return agents_++; }
  [[nodiscard]] uint32_t warps_per_cta() const { return warps_per_cta_; }
  [[nodiscard]] uint64_t tick() const { return tick_; }

  // Agents other than warps and mbarriers, which are numbered from 0 and by new_agent().
  [[nodiscard]] Agent tensor_agent(const Warp& warp) const { return warp_count() + warp.agent; }
  [[nodiscard]] Agent bulk_agent(const Warp& warp) const { return 2 * warp_count() + warp.agent; }
  [[nodiscard]] Agent copy_agent(const Warp& warp) const { return 3 * warp_count() + warp.agent; }
  [[nodiscard]] Agent bulk_write_agent(const Warp& warp) const { return 4 * warp_count() + warp.agent; }
  [[nodiscard]] Agent prerequisite_agent() const { return 5 * warp_count(); }
  /// Whether those who know this know that the grids before have finished.
  [[nodiscard]] bool knows_prerequisites(const Knowledge& knowledge) const;

  const uint32_t number;
  LaunchState* launch;
  std::vector<std::unique_ptr<Cta>> ctas;

  // barrier.cluster
  uint32_t barrier_arrived = 0, barrier_generation = 0;
  Knowledge barrier_gathering, barrier_released;
  /// Completes the barrier when all threads that have not exited have arrived.
  void settle_barrier();

 private:
  struct Event {
    uint64_t due;
    std::function<void()> action;
  };
  [[nodiscard]] uint32_t warp_count() const { return warps_per_cta_ * static_cast<uint32_t>(ctas.size()); }
  bool run_events(bool idle);
  void finish();

  uint32_t warps_per_cta_;
  Agent agents_ = 0;
  std::vector<Event> events_;
  uint64_t tick_ = 0;
  std::mt19937_64 engine_;
  std::vector<Warp*> order_;
};

}  // namespace emulator::machine
