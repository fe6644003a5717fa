// What `bench` prints, saves and draws.
#pragma once

#include <string>
#include <vector>

#include "bench/measure.h"
#include "common/report.h"

namespace flash_mla::cli {

void print_roofline(const Roofline& roofline);
void print_rows(const std::vector<BenchRow>& rows);
Json rows_to_json(const std::vector<BenchRow>& rows, const Roofline& roofline);
/// Share of the roofline over query rows (h_q * s_q), a line for each batch and length. Errors: as write_plot().
Status plot_rows(const std::string& path, const std::vector<BenchRow>& rows, const Roofline& roofline);

}  // namespace flash_mla::cli
