// Plots, drawn by gnuplot through a pipe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::cli {

/// Points (x[i], y[i]) in one colour; a NaN y leaves a gap.
struct Series {
  std::string label;  ///< empty: not in the key
  std::vector<double> x;
  std::vector<double> y;
  bool points = false;  ///< dots instead of a line
  int colour = -1;      ///< of the palette; -1: that of its place in the panel
};

/// One pair of axes; panels of a plot are stacked.
struct Panel {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool log_x = false;
  bool log_y = false;
  bool y_from_zero = true;
  std::vector<Series> series;
  std::vector<std::string> x_names{};  ///< of x = 0, 1, 2 ... instead of numbers
};

/// Draws to `path`; its ending chooses .svg or .png. Errors: invalid_argument (ending), unsupported (gnuplot is not
/// installed), io_error (gnuplot could not write).
Status write_plot(const std::string& path, const std::string& title, std::span<const Panel> panels);

/// Whether write_plot() can succeed at `path`: asked before a long run. Errors: as write_plot().
Status check_plot(const std::string& path);

}  // namespace flash_mla::cli
