#include "common/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "common/caches.h"
#include "flash_mla/executor.h"

namespace flash_mla::cli {
namespace {

// The kernel's names of the instruction sets that the backends, present or planned, could use.
constexpr std::array<std::string_view, 22> kIsaOfInterest = {
    "sse4_2",   "avx",      "avx2",        "fma",         "f16c",        "avx_vnni", "avx512f",  "avx512bw",
    "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd",    "asimdhp",  "asimddp",     "bf16",        "i8mm",        "sve"};

std::string trim(std::string_view text) {
  size_t first = text.find_first_not_of(" \t\"");
  size_t last = text.find_last_not_of(" \t\"");
  return first == std::string_view::npos ? std::string() : std::string(text.substr(first, last - first + 1));
}

void read_cpuinfo(Machine& machine) {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::pair<std::string, std::string>> cores;
  std::string package;
  std::string implementer;
  std::string part;
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string key = trim(std::string_view(line).substr(0, colon));
    std::string value = trim(std::string_view(line).substr(colon + 1));
    if (key == "model name" && machine.cpu.empty()) machine.cpu = value;
    if (key == "CPU implementer") implementer = value;  // Arm, where there is no model name
    if (key == "CPU part") part = value;
    if (key == "physical id") package = value;
    if (key == "core id") cores.emplace(package, value);
    if ((key == "flags" || key == "Features") && machine.isa.empty()) {
      std::istringstream words(value);
      std::set<std::string> flags{std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()};
      for (std::string_view name : kIsaOfInterest) {
        if (flags.count(std::string(name)) != 0) machine.isa.emplace_back(name);
      }
    }
  }
  machine.cores = static_cast<int>(cores.size());
  if (machine.cpu.empty() && !part.empty()) machine.cpu = "implementer " + implementer + " part " + part;
}

void read_memory(Machine& machine) {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::string unit;
  int64_t kib = 0;
  while (file >> key >> kib) {
    std::getline(file, unit);
    if (key == "MemTotal:") machine.memory_bytes = kib * 1024;
    if (key == "MemAvailable:") machine.memory_available_bytes = kib * 1024;
  }
  // A container's limit, less what it already holds, where it is below the machine's figure.
  int64_t limit = 0;
  int64_t used = 0;
  std::ifstream("/sys/fs/cgroup/memory.max") >> limit;
  std::ifstream("/sys/fs/cgroup/memory.current") >> used;
  if (limit > used && limit - used < machine.memory_available_bytes) machine.memory_available_bytes = limit - used;
}

std::string read_os() {
  std::ifstream file("/etc/os-release");
  constexpr std::string_view kKey = "PRETTY_NAME=";
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(kKey, 0) == 0) return trim(std::string_view(line).substr(kKey.size()));
  }
  return {};
}

std::string compiler_name() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

Machine read_machine() {
  Machine machine;
  read_cpuinfo(machine);
  read_memory(machine);
  utsname names{};
  if (uname(&names) == 0) {
    machine.architecture = names.machine;
    machine.kernel = std::string(names.sysname) + " " + names.release;
  }
  machine.cpus = static_cast<int>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
  machine.usable_threads = default_num_workers();
  machine.caches = read_caches();
  machine.os = read_os();
  machine.compiler = trim(compiler_name());
  return machine;
}

}  // namespace

const Machine& this_machine() {
  static const Machine machine = read_machine();
  return machine;
}

int64_t last_level_cache_bytes() {
  const auto& caches = this_machine().caches;
  return caches.empty() ? 0 : caches.back().bytes;
}

Json to_json(const Machine& machine) {
  Json caches = Json::array();
  for (const CacheLevel& cache : machine.caches) {
    caches.push_back({{"level", cache.level},
                      {"type", cache.type},
                      {"bytes", cache.bytes},
                      {"shared_by_cpus", cache.shared_by_cpus}});
  }
  return {{"cpu", machine.cpu},
          {"architecture", machine.architecture},
          {"cpus", machine.cpus},
          {"cores", machine.cores},
          {"usable_threads", machine.usable_threads},
          {"isa", machine.isa},
          {"caches", std::move(caches)},
          {"memory_bytes", machine.memory_bytes},
          {"memory_available_bytes", machine.memory_available_bytes},
          {"os", machine.os},
          {"kernel", machine.kernel},
          {"compiler", machine.compiler}};
}

}  // namespace flash_mla::cli
