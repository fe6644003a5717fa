// Timing one loop on several threads at once.
#pragma once

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace flash_mla::cli {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Threads that OpenMP really starts when asked for this many.
inline int team_size(int threads) {
  int size = 0;
#pragma omp parallel num_threads(threads)
#pragma omp single
  size = omp_get_num_threads();
  return size;
}

/// Runs work(thread) on every thread of a team at once, on the OpenMP threads that decode() uses too; returns the
/// seconds from the first start to the last end.
template <class Work>
double time_team(int threads, const Work& work) {
  std::vector<double> begin(static_cast<size_t>(threads));
  std::vector<double> end(static_cast<size_t>(threads));
#pragma omp parallel num_threads(threads)
  {
    const auto thread = static_cast<size_t>(omp_get_thread_num());
#pragma omp barrier
    begin[thread] = seconds_now();
    work(static_cast<int>(thread));
    end[thread] = seconds_now();
  }
  return *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
}

}  // namespace flash_mla::cli
