#include "driver/counters_log.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "support/format.h"

namespace emulator::driver {
namespace {

using nlohmann::json;

/// Tells kernels of one name apart (FNV-1a of their instructions and where they come from).
std::string fingerprint(const machine::Program& program) {
  uint64_t hash = 0xcbf29ce484222325ull;
  const auto add = [&](const void* data, size_t size) {
    for (size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3ull;
  };
  for (const std::string& text : program.texts) add(text.data(), text.size() + 1);
  for (const uint32_t line : program.lines) add(&line, sizeof(line));
  for (const ptx::SourceLine& source : program.sources) add(&source.line, sizeof(source.line));
  return format("{:016x}", hash);
}

json describe(const machine::Program& program, const std::string& code) {
  json instructions = json::array();
  // The last op is the decoder's own exit.
  for (size_t i = 0; i + 1 < program.ops.size(); ++i) {
    const ptx::SourceLine& source = program.sources[i];
    instructions.push_back({program.lines[i], program.texts[i], source.file, source.line});
  }
  return {{"record", "code"},
          {"kernel", program.name},
          {"code", code},
          {"files", program.files},
          {"instructions", std::move(instructions)}};
}

json sparse(const std::vector<machine::Pieces>& by_instruction) {
  json list = json::array();
  for (size_t i = 0; i < by_instruction.size(); ++i) {
    const machine::Pieces& pieces = by_instruction[i];
    if (pieces.touched != 0) list.push_back({i, pieces.touched, pieces.ideal});
  }
  return list;
}

json describe(const machine::Counters& c) {
  return {{"warp_instructions", c.warp_instructions},
          {"thread_instructions", c.thread_instructions},
          {"global_load_bytes", c.global_load_bytes},
          {"global_store_bytes", c.global_store_bytes},
          {"global_load_sectors", c.global_load_sectors},
          {"global_store_sectors", c.global_store_sectors},
          {"global_load_ideal_sectors", c.global_load_ideal_sectors},
          {"global_store_ideal_sectors", c.global_store_ideal_sectors},
          {"atomics", c.atomics},
          {"bulk_load_bytes", c.bulk_load_bytes},
          {"bulk_store_bytes", c.bulk_store_bytes},
          {"tensor_load_bytes", c.tensor_load_bytes},
          {"tensor_store_bytes", c.tensor_store_bytes},
          {"bulk_operations", c.bulk_operations},
          {"fetched_bytes", c.fetched_bytes},
          {"written_bytes", c.written_bytes},
          {"shared_accesses", c.shared_accesses},
          {"shared_wavefronts", c.shared_wavefronts},
          {"shared_ideal_wavefronts", c.shared_ideal_wavefronts},
          {"tensor_macs", c.tensor_macs},
          {"wgmmas", c.wgmmas},
          {"barrier_waits", c.barrier_waits},
          {"mbarrier_waits", c.mbarrier_waits},
          {"cluster_barrier_waits", c.cluster_barrier_waits}};
}

void append(const char* path, const std::string& lines) {
  errno = 0;
  std::ofstream file(path, std::ios::app);
  file << lines << std::flush;
  static bool said = false;
  if (file || said) return;
  said = true;
  std::cerr << format("flash_mla emulator: FLASH_MLA_EMULATOR_COUNTERS = {}: cannot be written: {}\n", path,
                      std::strerror(errno));
}

}  // namespace

void log_counters(const machine::Program& program, const machine::LaunchShape& shape, const machine::Options& options,
                  const machine::Counters& counters, const machine::Reports& reports) {
  const char* const path = std::getenv("FLASH_MLA_EMULATOR_COUNTERS");
  if (path == nullptr || *path == '\0') return;
  static std::set<std::pair<std::string, std::string>> described;  // file and code
  const std::string code = program.name + "-" + fingerprint(program);
  std::string lines;
  if (described.emplace(path, code).second) lines += describe(program, code).dump() + "\n";
  lines += json{{"record", "launch"},
                {"code", code},
                {"grid", shape.grid},
                {"block", shape.block},
                {"cluster", shape.cluster},
                {"dynamic_shared", shape.dynamic_shared},
                {"seed", options.seed},
                {"reports", reports.all().size()},
                {"counters", describe(counters)},
                {"executions", counters.executions},
                {"wavefronts", sparse(counters.wavefronts)},
                {"sectors", sparse(counters.sectors)}}
               .dump() +
           "\n";
  append(path, lines);
}

}  // namespace emulator::driver
