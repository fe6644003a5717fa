// 32 lanes that run a program.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "machine/clock.h"
#include "machine/lane_order.h"
#include "machine/op.h"
#include "machine/program.h"
#include "machine/report.h"

namespace emulator::machine {

class Cta;
class Cluster;

struct Wait {
  enum class For : uint8_t { nothing, gather, barrier, mbarrier, warpgroup, cluster_barrier, bulk_groups, copy_groups };
  For what = For::nothing;
  uint32_t a = 0;      // barrier: id; mbarrier: address; bulk_groups, copy_groups: how many may be left
  uint32_t b = 0;      // a generation, or the phase's parity
  bool again = false;  // run the instruction again afterwards, instead of the next
};

/// Lanes that are at one instruction.
struct Fragment {
  uint32_t mask;
  uint32_t pc;
  Wait wait;
};

/// Bulk stores between two cp.async.bulk.commit_group.
struct BulkGroup {
  uint32_t pending_reads = 0, pending_writes = 0;
  uint32_t number = 0;
};

class Warp {
 public:
  void start(Cta& cta, uint32_t id, uint32_t lanes);

  /// Runs at most `budget` instructions. Returns how many.
  uint32_t run(uint32_t budget);
  [[nodiscard]] bool finished() const { return fragments_.empty(); }
  [[nodiscard]] std::string describe() const;  // what its lanes wait for
  [[nodiscard]] const std::vector<Fragment>& fragments() const { return fragments_; }

  // For the handlers of instructions.
  template <class T>
  T* lanes(Slot slot) {
    return reinterpret_cast<T*>(registers_.get() + slot);
  }
  uint32_t& predicate(Slot slot) { return *lanes<uint32_t>(slot); }
  void mark_written(Slot slot, uint32_t mask) {
    written_[slot / kSlotBytes] |= mask;
    write_epochs[slot / kSlotBytes] = wgmma_fences;
  }
  [[nodiscard]] uint32_t written(Slot slot) const { return written_[slot / kSlotBytes]; }
  [[nodiscard]] uint64_t address(const Op& op, uint32_t lane, size_t s = 0) {
    const uint64_t base = (op.wide >> s & 1) != 0 ? lanes<uint64_t>(op.src[s])[lane] : lanes<uint32_t>(op.src[s])[lane];
    return base + static_cast<uint64_t>(op.offsets[s]);
  }

  [[noreturn]] void fault(const Op& op, Finding finding, const std::string& message) const;
  void report(const Op& op, Finding finding, const std::string& message) const;
  [[nodiscard]] std::string name() const;  // "CTA (0,0,0) warp 3"
  /// Marks what this warp did as handed on; later accesses are not.
  void release() { knowledge.ordered.advance(agent); }
  /// The other side of it.
  void acquire(const Knowledge& news);
  /// Lanes have come together: what each of them did is before what any of them does now.
  void meet(uint32_t mask);
  [[nodiscard]] uint32_t time() const { return knowledge.ordered.at(agent); }

  Cta* cta = nullptr;
  uint32_t id = 0;  // in its CTA
  Agent agent = 0;  // in its cluster
  uint32_t live = 0;
  uint32_t carry = 0;  // the condition code register, by lane
  Wait wait;           // set by a handler that blocks
  Knowledge knowledge;
  LaneOrder lane_order;
  uint64_t last_flag = 0;  // what it read last (flags.cpp)

  // Tensor cores (wgmma.cpp)
  struct Flight {
    uint32_t group = 0;  // of the last wgmma that uses the register
    bool accumulator = false;
  };
  void check_flight(const Op& op) const;
  std::vector<Flight> flight;          // by slot
  std::vector<uint32_t> write_epochs;  // by slot: wgmma_fences when it was written by anything but a wgmma
  uint32_t wgmma_fences = 1;           // wgmma.fence executed, plus 1
  uint32_t wgmma_open = 1;             // number of the group that the next commit closes
  uint32_t wgmma_retired = 0;          // groups up to this one have been waited for
  bool wgmma_in_flight = false;

  // Bulk stores (bulk_copy.cpp)
  std::vector<std::shared_ptr<BulkGroup>> bulk_groups;
  std::shared_ptr<BulkGroup> bulk_open;
  uint32_t bulk_count = 0;

  // cp.async (small_copy.cpp); the same, with reads and writes done at once
  std::vector<std::shared_ptr<BulkGroup>> copy_groups;
  std::shared_ptr<BulkGroup> copy_open;
  uint32_t copy_count = 0;

  uint32_t cluster_arrival = 0;  // generation of the cluster's barrier that it arrived in
  bool cluster_arrived = false;
  bool barrier_reduction = false;  // a bar.red waits for its result
  uint32_t max_registers = 0;      // after setmaxnreg, 0: as launched

 private:
  bool ready(const Fragment& fragment) const;
  bool choose(size_t& chosen);
  void run_fragment(size_t index, uint32_t& budget);
  bool gathered(const Op& op, uint32_t mask);
  void merge();
  void check_sources(const Op& op, uint32_t mask) const;

  std::unique_ptr<uint8_t[]> registers_;
  std::vector<uint32_t> written_;  // by slot: the lanes that have a value
  std::vector<Fragment> fragments_;
};

}  // namespace emulator::machine
