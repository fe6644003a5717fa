// The parts of a chip while it is replayed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "clock/bandwidth.h"
#include "clock/figures.h"
#include "clock/trace.h"

namespace emulator::clock {

struct CtaState;
struct SmState;

/// Asynchronous copies of a warp, by group.
struct Groups {
  double open = 0;  // when the group that is not yet committed has been done
  std::vector<double> closed;
  void commit() { closed.push_back(open); }
  /// When all but the last `left` are done.
  [[nodiscard]] double done(size_t left) const { return closed.size() > left ? closed[closed.size() - left - 1] : 0; }
};

struct WarpState {
  enum class State : uint8_t { running, blocked, done };
  CtaState* cta = nullptr;
  uint32_t id = 0;
  State state = State::running;
  Stall stall = Stall::operands;  // while blocked
  double blocked_at = 0;
  uint32_t address = 0, parity = 0;  // of the mbarrier it is blocked at
  uint32_t cluster_arrival = 0;      // generation of the cluster's barrier

  const Step* at = nullptr;
  const Step* end = nullptr;
  uint32_t done_of_run = 0;  // of the step, if it is a run
  uint32_t op = 0;           // the instruction it is at
  double time = 0;           // when it can issue
  std::vector<float> ready;  // by register, after the CTA's start
  double all_done = 0;       // everything it has issued
  double stores_issued = 0;
  uint32_t wgmma_commits = 0;
  Groups bulk, small;
};

struct MbarrierState {
  uint32_t count = 0, pending = 0, phase = 0;
  int64_t bytes = 0;
  double completed = 0;
};

struct BarrierState {
  uint32_t arrived = 0;
  double last = 0;
  std::vector<WarpState*> waiting;
};

/// Four warps that use the tensor cores together.
struct TensorGroup {
  uint32_t arrived = 0;
  double last_arrival = 0;
  double last_start = 0;
  double open_end = 0;
  std::vector<double> groups;  // ends of committed ones
  std::vector<WarpState*> waiting;
};

struct ClusterState {
  std::vector<std::unique_ptr<CtaState>> ctas;
  BarrierState barrier;
  uint32_t generation = 0;
  double released = 0;  // the last generation
  uint32_t live = 0;    // warps
};

struct LaunchState {
  const LaunchTrace* trace = nullptr;
  std::vector<std::unique_ptr<ClusterState>> clusters;  // started ones
  uint32_t cluster_count = 0, cluster_size = 1;
  uint32_t unfinished = 0, holding = 0;  // CTAs; holding: that keep the next launch back
  double eligible = 0;                   // its CTAs may start, if `is_eligible`
  bool is_eligible = false;
  double released = 0;  // the last CTA that let the next launch go
  double begin = 0, first_start = 0, last_cta = 0, end = 0;
  std::vector<WarpState*> waiting;  // at griddepcontrol.wait

  // Busy clocks, over all SMs.
  double tensor = 0, shared = 0, issue = 0, transcendental = 0, l2 = 0, hbm = 0, warp_time = 0;
  std::array<double, kStalls> stalls{};
  std::vector<std::array<double, kStalls>> stalls_by_op;
  uint64_t instructions = 0;
};

struct CtaState {
  LaunchState* launch = nullptr;
  uint32_t launch_number = 0;
  ClusterState* cluster = nullptr;
  SmState* sm = nullptr;
  uint32_t index = 0, rank = 0;
  uint32_t live = 0;  // warps
  double start = 0;
  bool holds = true;  // the next launch
  std::vector<WarpState> warps;
  std::unordered_map<uint32_t, MbarrierState> mbarriers;
  std::array<BarrierState, 16> barriers;
  std::vector<TensorGroup> tensor_groups;
};

/// Something that reaches a CTA's mbarrier.
struct Event {
  double time;
  uint64_t number;
  CtaState* cta;
  uint32_t address;
  uint32_t bytes;  // that have come
  uint32_t arrivals;
  int64_t expected_bytes;
  bool operator<(const Event& other) const { return time != other.time ? time > other.time : number > other.number; }
};

struct SmState {
  uint32_t number = 0;
  bool is_watched = false;
  std::vector<WarpState*> warps;  // that are not done
  std::priority_queue<Event> events;
  struct Part {
    double issue = 0;
    std::array<double, kUnits> unit{};
  };
  std::array<Part, 4> parts;
  Bandwidth shared_port, remote_port;
  double tensor_free = 0, copy_free = 0;
  std::unordered_set<uint64_t> l1;  // lines
  double last_end = -1e9;           // of a CTA: long ago
  uint32_t ctas = 0, threads = 0, shared_bytes = 0, registers = 0;
};

}  // namespace emulator::clock
