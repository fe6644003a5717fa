// `flash_mla bench --suite kv-cache`: what the KV cache manager costs and saves. Sections measure; the suite prints,
// saves and draws what they found.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/plot.h"
#include "common/report.h"
#include "flash_mla/status.h"

namespace flash_mla::cli {

struct KvSuiteOptions {
  std::string json;
  std::string plot;  ///< its ending chooses the format; each section with a picture adds its name before it
  bool full = false;
  uint64_t seed = 1;
};

/// What a section found: printed by itself, saved under its name, drawn if it has panels.
struct KvFindings {
  Json json;
  std::string plot_title;
  std::vector<Panel> panels;
};

struct KvSection {
  const char* name;  ///< key of the JSON object
  Result<KvFindings> (*run)(const KvSuiteOptions& options);
};

/// All sections, in the order in which they run.
std::span<const KvSection> kv_sections();

/// Nanoseconds an operation against the size of the pool.
Result<KvFindings> measure_kv_operations(const KvSuiteOptions& options);

/// The exit code.
int run_kv_suite(const KvSuiteOptions& options);

}  // namespace flash_mla::cli
