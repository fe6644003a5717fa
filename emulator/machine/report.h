// What a launch did wrong.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace emulator::machine {

enum class Finding : uint8_t {
  out_of_bounds,
  misaligned,
  uninitialised,
  race,
  proxy,               // generic writes read by the async proxy without a proxy fence, and the like
  register_in_flight,  // a register of a wgmma that has not been waited for
  wgmma_fence,
  barrier,  // count, phase and participation of barriers and mbarriers
  transaction,
  lifetime,     // of a CTA's shared memory: used by others before its start or after its exit
  deadlock,
  register_pool,
  trap,
  operand,  // values an instruction does not allow
  launch
};
std::string_view name_of(Finding finding);

struct Report {
  Finding finding;
  std::string message;  // one line: what, where, which CTA and warp, and the other side of a race
  bool fatal;           // the launch stopped
};

/// Thrown by an instruction that cannot go on; the launch ends with its report.
struct Fault {
  Report report;
};

class Reports {
 public:
  /// Keeps one report for each finding and pair of instructions, and no more than a hundred.
  void add(Finding finding, uint32_t op, uint32_t other_op, std::string message);
  void add_fatal(Report report) { reports_.push_back(std::move(report)); }
  [[nodiscard]] const std::vector<Report>& all() const { return reports_; }
  [[nodiscard]] bool known(Finding finding, uint32_t op, uint32_t other_op) const;

 private:
  std::set<std::pair<Finding, std::pair<uint32_t, uint32_t>>> seen_;
  std::vector<Report> reports_;
};

}  // namespace emulator::machine
