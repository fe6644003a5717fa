// What this machine is: for bug reports, and beside every measured number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/report.h"

namespace flash_mla::cli {

struct CacheLevel {
  int level = 0;
  std::string type;        ///< "data", "instruction" or "unified"
  int64_t bytes = 0;       ///< of one cache
  int shared_by_cpus = 0;  ///< logical CPUs that share one; 0 if not known
};

struct Machine {
  std::string cpu;                     ///< model name
  std::string architecture;            ///< "x86_64", "aarch64"
  int cpus = 0;                        ///< logical CPUs online
  int cores = 0;                       ///< physical cores; 0 if not known
  int usable_threads = 0;              ///< default_num_workers(): affinity and quota count
  std::vector<std::string> isa;        ///< instruction sets that matter here, as the kernel names them
  std::vector<CacheLevel> caches;      ///< of the first CPU
  int64_t memory_bytes = 0;            ///< installed
  int64_t memory_available_bytes = 0;  ///< free for a new process to use
  std::string os;
  std::string kernel;
  std::string compiler;  ///< that built this command
};

/// Read once; what cannot be found stays empty or 0.
const Machine& this_machine();
/// Bytes of the last-level cache; 0 if not known.
int64_t last_level_cache_bytes();
Json to_json(const Machine& machine);

}  // namespace flash_mla::cli
