// A replay under way.
#pragma once

#include <string>
#include <vector>

#include "clock/memory_system.h"
#include "clock/parameters.h"
#include "clock/state.h"

namespace emulator::clock {

class Simulation {
 public:
  Simulation(const Parameters& parameters, MemorySystem& memory, const std::vector<const LaunchTrace*>& launches,
             double begin, Timeline* timeline);
  /// Empty, or why it cannot go on.
  std::string run();
  [[nodiscard]] std::vector<LaunchFigures> figures() const;
  [[nodiscard]] double end() const;

 private:
  std::string describe_stuck() const;

  // launches.cpp
  [[nodiscard]] std::string refuse(const LaunchTrace& trace) const;
  void place_clusters(double until);
  bool place(LaunchState& launch, uint32_t launch_number);
  [[nodiscard]] bool has_room(const SmState& sm, const LaunchTrace& trace) const;
  void start_cta(LaunchState& launch, uint32_t launch_number, ClusterState& cluster, uint32_t rank, SmState& sm);
  void finish_warp(SmState& sm, WarpState& warp);
  void finish_cta(CtaState& cta);
  void release_next(CtaState& cta, double time);
  void make_eligible(size_t number, double time);

  // sm.cpp: one SM up to a time
  bool run_sm(SmState& sm, double until);
  void run_warp(SmState& sm, WarpState& warp, double until);
  void run_instruction(SmState& sm, WarpState& warp, const Instruction& instruction);
  double issue(SmState& sm, WarpState& warp, double clocks);
  [[nodiscard]] double sources_ready(const WarpState& warp, const Instruction& instruction) const;
  void set_results(WarpState& warp, const Instruction& instruction, double time);
  void advance(WarpState& warp, double time, Stall stall);  // waits without blocking
  void block(WarpState& warp, Stall stall);
  void wake(WarpState& warp, double time);
  void note_stall(const WarpState& warp, Stall stall, double from, double to);

  // steps.cpp: synchronisation and tensor cores
  void run_step(SmState& sm, WarpState& warp, const Step& step);
  void run_wgmma(SmState& sm, WarpState& warp, const Instruction& instruction);
  void run_barrier(SmState& sm, WarpState& warp, const Step& step);
  void arrive_at_cluster(WarpState& warp);
  void settle_cluster(ClusterState& cluster);
  void arrive_at_mbarrier(SmState& sm, WarpState& warp, const Step& step);
  void wait_for_mbarrier(SmState& sm, WarpState& warp, const Step& step);
  void settle_mbarrier(CtaState& cta, uint32_t address, MbarrierState& barrier, double time);
  void apply(const Event& event);

  // copies.cpp: memory
  void run_memory_step(SmState& sm, WarpState& warp, const Step& step);
  void load_copy(SmState& sm, WarpState& warp, const Copy& copy);
  void store_copy(SmState& sm, WarpState& warp, const Copy& copy);
  void send_copy(SmState& sm, WarpState& warp, const Copy& copy);
  void load_lines(SmState& sm, WarpState& warp, const Instruction& instruction, const Line* lines, size_t count);
  double read(const CtaState& cta, double time, const Line* lines, size_t count, MemorySystem::Latency latency);
  double write(const CtaState& cta, double time, const Line* lines, size_t count);
  void post(CtaState& cta, double time, uint32_t address, uint32_t bytes, uint32_t arrivals, int64_t expected);

  [[nodiscard]] double clocks(double seconds) const { return seconds * parameters_.clock_hz; }

  const Parameters& parameters_;
  MemorySystem& memory_;
  Timeline* timeline_;
  double begin_;
  std::vector<LaunchState> launches_;
  std::vector<SmState> sms_;
  uint64_t events_ = 0;
  bool may_place_ = true;
};

}  // namespace emulator::clock
