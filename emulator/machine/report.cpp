#include "machine/report.h"

namespace emulator::machine {

std::string_view name_of(Finding finding) {
  switch (finding) {
    case Finding::out_of_bounds:
      return "out of bounds";
    case Finding::misaligned:
      return "misaligned";
    case Finding::uninitialised:
      return "uninitialised";
    case Finding::race:
      return "race";
    case Finding::proxy:
      return "proxy";
    case Finding::register_in_flight:
      return "register in flight";
    case Finding::wgmma_fence:
      return "wgmma fence";
    case Finding::barrier:
      return "barrier";
    case Finding::transaction:
      return "transaction";
    case Finding::lifetime:
      return "lifetime";
    case Finding::deadlock:
      return "deadlock";
    case Finding::register_pool:
      return "register pool";
    case Finding::trap:
      return "trap";
    case Finding::operand:
      return "operand";
    case Finding::launch:
      return "launch";
  }
  return "";
}

bool Reports::known(Finding finding, uint32_t op, uint32_t other_op) const {
  return seen_.contains({finding, {op, other_op}});
}

void Reports::add(Finding finding, uint32_t op, uint32_t other_op, std::string message) {
  constexpr size_t kMost = 100;
  if (reports_.size() >= kMost || !seen_.insert({finding, {op, other_op}}).second) return;
  reports_.push_back({finding, std::move(message), false});
}

}  // namespace emulator::machine
