// Progress of a long run on stderr: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace flash_mla::cli {

class Progress {
 public:
  /// `total` units of work.
  Progress(std::string label, int64_t total);
  /// Clears the bar, so that what is printed next starts on an empty line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap enough to be called often: draws at most 10 times a second on a terminal, every 10 seconds elsewhere.
  void update(int64_t done, std::string_view note = {});

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  int64_t total_;
  bool terminal_;
  Clock::time_point start_;
  Clock::time_point next_draw_;
};

}  // namespace flash_mla::cli
