#include "common/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace flash_mla::cli {
namespace {

constexpr int kBarWidth = 24;
constexpr auto kTerminalPeriod = std::chrono::milliseconds(100);
constexpr auto kLinePeriod = std::chrono::seconds(10);

}  // namespace

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)),
      total_(std::max<int64_t>(total, 1)),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      next_draw_(terminal_ ? start_ : start_ + kLinePeriod) {}

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::update(int64_t done, std::string_view note) {
  Clock::time_point now = Clock::now();
  if (now < next_draw_) return;
  double share = std::clamp(static_cast<double>(done) / static_cast<double>(total_), 0.0, 1.0);
  auto seconds = std::chrono::duration<double>(now - start_).count();
  if (terminal_) {
    int filled = static_cast<int>(share * kBarWidth);
    fmt::print(stderr, "\r{} [{:#<{}}{:.<{}}] {:3.0f} % {:.0f} s  {}\x1b[K", label_, "", filled, "", kBarWidth - filled,
               100 * share, seconds, note);
    std::fflush(stderr);
    next_draw_ = now + kTerminalPeriod;
  } else {
    fmt::print(stderr, "{}: {:.0f} % after {:.0f} s  {}\n", label_, 100 * share, seconds, note);
    next_draw_ = now + kLinePeriod;
  }
}

}  // namespace flash_mla::cli
