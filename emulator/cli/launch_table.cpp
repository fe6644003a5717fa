#include "cli/launch_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "machine/instruction_class.h"

namespace emulator::cli {
namespace {

using nlohmann::json;
using Lines = std::map<std::string, std::map<uint32_t, bool>>;  // by file; whether they ran

/// 1,234,567
std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

double percent(uint64_t part, uint64_t all) {
  return all == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(all);
}

std::vector<std::pair<std::string, uint64_t>> by_class(const LoggedKernel& kernel) {
  std::map<std::string, uint64_t> counts;
  for (const LoggedInstruction& instruction : kernel.instructions) {
    if (instruction.executions == 0) continue;
    counts[std::string(machine::name_of(machine::class_of(instruction.opcode)))] += instruction.executions;
  }
  std::vector<std::pair<std::string, uint64_t>> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, std::greater(), &std::pair<std::string, uint64_t>::second);
  return sorted;
}

Lines lines_of(const LoggedKernel& kernel) {
  Lines lines;
  for (const LoggedInstruction& instruction : kernel.instructions) {
    if (!instruction.file.empty()) lines[instruction.file][instruction.source_line] |= instruction.executions != 0;
  }
  return lines;
}

/// "12, 15-17": neighbours among the lines that have code.
std::string ranges(const std::map<uint32_t, bool>& lines) {
  std::string text;
  uint32_t first = 0, last = 0;
  const auto flush = [&] {
    if (first == 0) return;
    if (!text.empty()) text += ", ";
    text += first == last ? std::to_string(first) : fmt::format("{}-{}", first, last);
    first = 0;
  };
  for (const auto& [line, ran] : lines) {
    if (ran) {
      flush();
    } else {
      if (first == 0) first = line;
      last = line;
    }
  }
  flush();
  return text;
}

std::string place_of(const LoggedInstruction& instruction) {
  const std::string place = fmt::format("PTX line {}: {}", instruction.line, instruction.opcode);
  return instruction.file.empty() ? place : fmt::format("{}:{}, {}", instruction.file, instruction.source_line, place);
}

/// The instructions that cost most above the ideal.
template <class Touched, class Ideal>
std::string worst(const LoggedKernel& kernel, std::string_view unit, Touched touched, Ideal ideal) {
  constexpr size_t kMost = 10;
  std::vector<const LoggedInstruction*> all;
  for (const LoggedInstruction& instruction : kernel.instructions) {
    if (instruction.*touched > instruction.*ideal) all.push_back(&instruction);
  }
  const auto excess = [&](const LoggedInstruction* each) { return each->*touched - each->*ideal; };
  std::ranges::stable_sort(all, std::greater(), excess);
  std::string text;
  for (size_t i = 0; i < std::min(kMost, all.size()); ++i) {
    text += fmt::format("    {} {} instead of {}: {}\n", grouped(all[i]->*touched), unit, grouped(all[i]->*ideal),
                        place_of(*all[i]));
  }
  if (all.size() > kMost) text += fmt::format("    and {} instructions more\n", all.size() - kMost);
  return text;
}

}  // namespace

std::string table_of(const LoggedKernel& kernel) {
  const auto count = [&](const char* name) { return kernel.count(name); };
  const auto number = [&](const char* name) { return grouped(kernel.count(name)); };
  std::string text = fmt::format("{}: {} launch{} of {} CTAs in all{}\n", kernel.name, kernel.launches,
                                 kernel.launches == 1 ? "" : "es", grouped(kernel.ctas),
                                 kernel.reports == 0 ? "" : fmt::format(", reports: {}", kernel.reports));
  text += fmt::format("  instructions    {} of warps, {} of threads\n", number("warp_instructions"),
                      number("thread_instructions"));
  uint64_t all = 0;
  const auto classes = by_class(kernel);
  for (const auto& each : classes) all += each.second;
  for (const auto& [name, executions] : classes) {
    text += fmt::format("    {:5.1f} %  {:<16} {:>14}\n", percent(executions, all), name, grouped(executions));
  }
  text += fmt::format("  tensor cores    {} wgmma, {} multiply-adds\n", number("wgmmas"), number("tensor_macs"));
  text += fmt::format(
      "  copy engine     {} operations; to shared memory {} bytes by tensor maps, {} by lines; {} fetched "
      "from global memory\n",
      number("bulk_operations"), number("tensor_load_bytes"),
      grouped(count("bulk_load_bytes") - count("tensor_load_bytes")), number("fetched_bytes"));
  text += fmt::format(
      "                  from shared memory {} bytes by tensor maps, {} by lines; {} written to global "
      "memory\n",
      number("tensor_store_bytes"), grouped(count("bulk_store_bytes") - count("tensor_store_bytes")),
      number("written_bytes"));
  text += fmt::format(
      "  global memory   loads {} bytes in {} sectors (ideal {}), stores {} bytes in {} (ideal {}), {} "
      "atomics\n",
      number("global_load_bytes"), number("global_load_sectors"), number("global_load_ideal_sectors"),
      number("global_store_bytes"), number("global_store_sectors"), number("global_store_ideal_sectors"),
      number("atomics"));
  text += worst(kernel, "sectors", &LoggedInstruction::sectors, &LoggedInstruction::ideal_sectors);
  text += fmt::format("  shared memory   {} accesses, {} wavefronts (ideal {})\n", number("shared_accesses"),
                      number("shared_wavefronts"), number("shared_ideal_wavefronts"));
  text += worst(kernel, "wavefronts", &LoggedInstruction::wavefronts, &LoggedInstruction::ideal_wavefronts);
  text += fmt::format("  waits           {} at barriers, {} at mbarriers, {} at the cluster's\n",
                      number("barrier_waits"), number("mbarrier_waits"), number("cluster_barrier_waits"));
  const auto ran = static_cast<uint64_t>(
      std::ranges::count_if(kernel.instructions, [](const auto& each) { return each.executions != 0; }));
  uint64_t lines = 0, lines_run = 0;
  std::string missing;
  for (const auto& [file, of_file] : lines_of(kernel)) {
    lines += of_file.size();
    lines_run += static_cast<uint64_t>(std::ranges::count_if(of_file, [](const auto& line) { return line.second; }));
    const std::string not_run = ranges(of_file);
    if (!not_run.empty()) missing += fmt::format("    not run: {}: {}\n", file, not_run);
  }
  text += fmt::format("  coverage        {:.1f} % of {} instructions", percent(ran, kernel.instructions.size()),
                      grouped(kernel.instructions.size()));
  text += lines == 0 ? std::string("; no source lines (nvcc -lineinfo)\n")
                     : fmt::format(", {:.1f} % of {} source lines\n", percent(lines_run, lines), grouped(lines));
  return text + missing;
}

json json_of(const LoggedKernel& kernel) {
  json result = {{"kernel", kernel.name},        {"launches", kernel.launches}, {"ctas", kernel.ctas},
                 {"reports", kernel.reports},    {"counters", kernel.counters}, {"classes", json::object()},
                 {"instructions", json::array()}};
  for (const auto& [name, executions] : by_class(kernel)) result["classes"][name] = executions;
  for (const LoggedInstruction& each : kernel.instructions) {
    result["instructions"].push_back({{"line", each.line},
                                      {"opcode", each.opcode},
                                      {"file", each.file},
                                      {"source_line", each.source_line},
                                      {"executions", each.executions},
                                      {"wavefronts", each.wavefronts},
                                      {"ideal_wavefronts", each.ideal_wavefronts},
                                      {"sectors", each.sectors},
                                      {"ideal_sectors", each.ideal_sectors}});
  }
  return result;
}

}  // namespace emulator::cli
