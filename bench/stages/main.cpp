// What each stage of the BF16 kernel reaches alone, on a tile that lies in L2: the shares that bound a whole call.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "bench/measure.h"
#include "bench/stages/stages.h"
#include "check/buffer.h"
#include "check/normal_table.h"
#include "common/report.h"
#include "common/table.h"

namespace {

using namespace flash_mla;

struct Measured {
  double seconds = 0;  ///< of one run
  double share = 0;    ///< of the peak measured beside each repetition
};

Measured measure(const bench::Stage& stage, void* tile, int keys, const cli::PeakMeter& peak) {
  constexpr int kRepetitions = 201, kRuns = 20;
  std::vector<double> seconds;
  std::vector<double> shares;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    const double before = peak.measure().flops;
    const auto start = std::chrono::steady_clock::now();
    for (int run = 0; run < kRuns; ++run) stage.run(tile);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    seconds.push_back(time.count() / kRuns);
    shares.push_back(stage.flop(keys) / seconds.back() / std::max(before, peak.measure().flops));
  }
  return {cli::spread_of(seconds).median, cli::spread_of(shares).median};
}

void report(double deviation, const std::string& json_path) {
  const Result<cli::PeakProbe> probe = cli::find_probe("avx512_bf16", DType::bfloat16);
  if (!probe.ok()) throw CLI::RuntimeError(probe.status().message(), 2);
  const cli::PeakMeter peak(probe.value(), 1, 0.001);
  cli::Table table({"<stage", "keys", "us", "share of the peak %", "of the tile's time %"});
  cli::Json rows = cli::Json::array();
  const cli::NormalTable normal(DType::bfloat16, deviation, 1);
  const auto copy_row = [](const void* source, int n, uint16_t* to) {
    const auto& table_of_rows = *static_cast<const cli::NormalTable*>(source);
    table_of_rows.copy_row(static_cast<uint64_t>(n), bench::kWidth, reinterpret_cast<std::byte*>(to));
  };
  cli::Buffer memory;
  for (const int keys : {16, 32, 64, 128}) {
    std::byte* tile = memory.resize(bench::tile_bytes(keys));
    bench::fill_tile(tile, keys, copy_row, &normal);
    std::vector<Measured> measured;
    for (const bench::Stage& stage : bench::kAvx512Bf16Stages) measured.push_back(measure(stage, tile, keys, peak));
    for (int s = 0; s < bench::kStages; ++s) {
      const auto& [seconds, share] = measured[s];
      const double of_tile = 100 * seconds / measured.back().seconds;
      const char* name = bench::kAvx512Bf16Stages[s].name;
      table.add_row({name, std::to_string(keys), fmt::format("{:.2f}", 1e6 * seconds),
                     share > 0 ? fmt::format("{:.1f}", 100 * share) : "", fmt::format("{:.1f}", of_tile)});
      rows.push_back({{"stage", name}, {"keys", keys}, {"seconds", seconds}, {"share", share}});
    }
  }
  table.print();
  if (json_path.empty()) return;
  cli::Json json = cli::report_head("stages");
  json["deviation"] = deviation;
  json["stages"] = rows;
  const Status status = cli::write_json(json_path, json);
  if (!status.ok()) throw CLI::RuntimeError(status.message(), 2);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What each stage of the AVX512_BF16 kernel reaches alone: 16 query rows of 576 / 512, a tile in L2.");
  double deviation = 0.1;
  std::string json_path;
  app.add_option("--deviation", deviation, "Of queries and keys")->capture_default_str();
  app.add_option("--json", json_path, "Also write the results to this file")->type_name("FILE");
  try {
    app.parse(argc, argv);
    report(deviation, json_path);
  } catch (const CLI::RuntimeError& error) {
    fmt::print(stderr, "stages: error: {}\n", error.what());
    return error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return 0;
}
