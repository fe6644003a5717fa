#include "hand_trace.h"

#include <gtest/gtest.h>

namespace emulator::test {

using clock::Kind;
using clock::StepKind;
using clock::Unit;

HandTrace::HandTrace(std::array<uint32_t, 3> grid, uint32_t warps, uint32_t cluster) {
  trace_.shape.grid = grid;
  trace_.shape.block = {warps * 32, 1, 1};
  trace_.shape.cluster = {cluster, 1, 1};
  trace_.ctas.assign(static_cast<size_t>(grid[0]) * grid[1] * grid[2], std::vector<clock::WarpTrace>(warps));
  code_->name = "by hand";
}

uint32_t HandTrace::instruction(Unit unit, const std::vector<uint32_t>& reads, const std::vector<uint32_t>& writes,
                                Kind kind) {
  clock::Instruction made;
  made.kind = kind;
  made.unit = unit;
  made.reads = static_cast<uint32_t>(code_->slots.size());
  code_->slots.insert(code_->slots.end(), reads.begin(), reads.end());
  made.reads_end = made.writes = static_cast<uint32_t>(code_->slots.size());
  code_->slots.insert(code_->slots.end(), writes.begin(), writes.end());
  made.writes_end = static_cast<uint32_t>(code_->slots.size());
  for (const uint32_t slot : code_->slots) code_->registers = std::max(code_->registers, slot + 1);
  code_->instructions.push_back(made);
  code_->places.emplace_back("by hand");
  return static_cast<uint32_t>(code_->instructions.size() - 1);
}

uint32_t HandTrace::wgmma(uint32_t columns, bool a_in_registers) {
  const uint32_t number = instruction(Unit::alu, {}, {}, Kind::wgmma);
  code_->instructions[number].columns = static_cast<uint16_t>(columns);
  code_->instructions[number].a_in_registers = a_in_registers;
  return number;
}

uint32_t HandTrace::copy(uint64_t line, uint32_t bytes, uint32_t barrier, uint16_t ranks) {
  clock::Copy made{static_cast<uint32_t>(trace_.lines.size()), bytes / clock::kLineBytes, bytes, barrier, ranks};
  for (uint32_t i = 0; i < made.lines; ++i) trace_.lines.push_back((line + i) << clock::kSectors | 15);
  trace_.copies.push_back(made);
  return static_cast<uint32_t>(trace_.copies.size() - 1);
}

void HandTrace::run(uint32_t cta, uint32_t warp, uint32_t op, uint16_t count) {
  for (uint16_t i = 0; i < count; ++i) step(cta, warp, {op, 1, StepKind::run, 0, 0});
}

void HandTrace::step(uint32_t cta, uint32_t warp, clock::Step step) {
  trace_.ctas.at(cta).at(warp).push_back(step);
}

const clock::LaunchTrace& HandTrace::finish() {
  trace_.code = code_;
  return trace_;
}

clock::Parameters plain_chip() {
  clock::Parameters p;
  p.l2_bytes = p.hbm_bytes_per_second = 1e15;
  p.l2_starts_dirty = false;
  p.copy_far_hit = p.copy_far_miss = 0;
  p.launch_seconds = p.end_seconds = 0;
  p.cta_start = p.cta_stagger = p.cta_round = 0;
  return p;
}

std::vector<clock::LaunchFigures> figures_of(const std::vector<const clock::LaunchTrace*>& launches,
                                             const clock::Parameters& parameters) {
  clock::Gpu gpu(parameters);
  auto replayed = gpu.replay(launches);
  if (const auto* const why = std::get_if<std::string>(&replayed)) {
    ADD_FAILURE() << *why;
    return std::vector<clock::LaunchFigures>(launches.size());
  }
  return std::get<std::vector<clock::LaunchFigures>>(replayed);
}

double clocks_of(const std::vector<const clock::LaunchTrace*>& launches, const clock::Parameters& parameters) {
  return figures_of(launches, parameters).back().end;
}

}  // namespace emulator::test
