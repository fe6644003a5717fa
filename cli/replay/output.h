// How a replay's figures are shown.
#pragma once

#include <optional>
#include <string>

#include "bench/roofline.h"
#include "common/report.h"
#include "replay/run.h"
#include "replay/summary.h"
#include "replay/trace.h"

namespace flash_mla::cli {

/// All there is to show about a run.
struct Replay {
  const RunConfig& config;
  const Trace& trace;
  const RunResult& run;
  const Summary& summary;
  const std::optional<Roofline>& roofline;  ///< none: not measured
};

void print_replay(const Replay& replay);
Json to_json(const Replay& replay);
/// Batch size, page use and step time over the run. Errors: as write_plot().
Status plot_replay(const Replay& replay, const std::string& path);

}  // namespace flash_mla::cli
