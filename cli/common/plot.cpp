#include "common/plot.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "common/report.h"

namespace flash_mla::cli {
namespace {

constexpr int kWidth = 1000;
constexpr int kPanelHeight = 300;
constexpr int kTitleHeight = 60;

// Okabe and Ito's colours, which people with colour blindness can tell apart.
constexpr std::array<const char*, 7> kColours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                 "#E69F00", "#56B4E9", "#000000"};

std::string gnuplot_string(std::string_view text) {
  std::string result = "'";
  for (char c : text) result += c == '\'' ? std::string("''") : std::string(1, c);
  return result + "'";
}

Result<std::string> terminal_for(const std::string& path, size_t panels) {
  int height = kTitleHeight + kPanelHeight * static_cast<int>(panels);
  std::string ending = std::filesystem::path(path).extension();
  if (ending == ".svg") {
    return fmt::format("set terminal svg size {},{} font 'sans-serif,12' background 'white'\n", kWidth, height);
  }
  if (ending == ".png") return fmt::format("set terminal png size {},{} truecolor\n", kWidth, height);
  return Status{StatusCode::invalid_argument, fmt::format("plot file '{}' must end in .svg or .png", path)};
}

bool gnuplot_installed() {
  return std::system("command -v gnuplot >/dev/null 2>&1") == 0;
}

std::string named_tics(const std::vector<std::string>& names) {
  std::string tics;
  for (size_t i = 0; i < names.size(); ++i) {
    tics += fmt::format("{}{} {}", i == 0 ? "" : ", ", gnuplot_string(names[i]), i);
  }
  return fmt::format("set xtics ({}) noenhanced\nset xrange [-0.5:{}.5]\n", tics, names.size() - 1);
}

std::string panel_script(const Panel& panel) {
  std::string script;
  script += fmt::format("set title {} noenhanced\nset xlabel {} noenhanced\nset ylabel {} noenhanced\n",
                        gnuplot_string(panel.title), gnuplot_string(panel.x_label), gnuplot_string(panel.y_label));
  script += panel.log_x ? "set logscale x\n" : "unset logscale x\n";
  script += panel.log_y ? "set logscale y\n" : "unset logscale y\n";
  script += panel.y_from_zero && !panel.log_y ? "set yrange [0:*]\n" : "set yrange [*:*]\n";
  script += panel.x_names.empty() ? "set xtics auto\nset xrange [*:*]\n" : named_tics(panel.x_names);
  const char* dots = panel.x_names.empty() ? "points pt 7 ps 0.4" : "points pt 7 ps 0.8";
  std::string data;
  std::string clauses;
  for (size_t i = 0; i < panel.series.size(); ++i) {
    const Series& series = panel.series[i];
    const char* colour = kColours[(series.colour < 0 ? i : static_cast<size_t>(series.colour)) % kColours.size()];
    std::string title =
        series.label.empty() ? "notitle" : fmt::format("title {} noenhanced", gnuplot_string(series.label));
    std::string style = series.points ? dots : "lines lw 1.5";
    clauses += fmt::format("{}'-' with {} lc rgb '{}' {}", i == 0 ? "plot " : ", ", style, colour, title);
    for (size_t j = 0; j < series.x.size() && j < series.y.size(); ++j) {
      data += std::isfinite(series.y[j]) ? fmt::format("{:.9g} {:.9g}\n", series.x[j], series.y[j]) : "\n";
    }
    data += "e\n";
  }
  return script + clauses + "\n" + data;
}

}  // namespace

Status check_plot(const std::string& path) {
  if (Result<std::string> terminal = terminal_for(path, 1); !terminal.ok()) return terminal.status();
  if (Status writable = check_writable(path); !writable.ok()) return writable;
  if (!gnuplot_installed()) {
    return {StatusCode::unsupported, "gnuplot is not installed, so no plot can be drawn (Debian: gnuplot-nox)"};
  }
  return {};
}

Status write_plot(const std::string& path, const std::string& title, std::span<const Panel> panels) {
  if (Status possible = check_plot(path); !possible.ok()) return possible;
  std::string script = terminal_for(path, panels.size()).value();
  script += fmt::format("set output {}\nset multiplot layout {},1 title {} noenhanced\n", gnuplot_string(path),
                        panels.size(), gnuplot_string(title));
  script += "set grid lc rgb '#dddddd'\nset key outside right top\nset lmargin 12\nset rmargin 22\nset border 3\n";
  script += "set tics nomirror\n";
  for (const Panel& panel : panels) script += panel_script(panel);
  script += "unset multiplot\nunset output\n";

  // A gnuplot that ends early must become an error here, not a SIGPIPE.
  auto previous = std::signal(SIGPIPE, SIG_IGN);
  bool written = false;
  if (std::FILE* gnuplot = popen("gnuplot 2>/dev/null", "w"); gnuplot != nullptr) {
    written = std::fwrite(script.data(), 1, script.size(), gnuplot) == script.size();
    written = pclose(gnuplot) == 0 && written;
  }
  std::signal(SIGPIPE, previous);
  std::error_code ignored;
  if (!written || std::filesystem::file_size(path, ignored) == 0 || ignored) {
    return {StatusCode::io_error, fmt::format("gnuplot could not draw '{}'", path)};
  }
  return {};
}

}  // namespace flash_mla::cli
