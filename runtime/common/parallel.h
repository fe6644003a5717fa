// Loops over OpenMP's threads.
#pragma once

#include <omp.h>

#include <cstdint>

namespace flash_mla::runtime {

/// While it lives, loops of this thread and oneDNN's run on so many threads; 0: as many as before.
class TeamSize {
 public:
  explicit TeamSize(int threads) : before_(omp_get_max_threads()) {
    if (threads > 0) omp_set_num_threads(threads);
  }
  TeamSize(const TeamSize&) = delete;
  TeamSize& operator=(const TeamSize&) = delete;
  ~TeamSize() { omp_set_num_threads(before_); }

 private:
  int before_;
};

/// body(i) for 0 <= i < count, in any order; `work` numbers each. Small loops run on one thread: a team costs
/// microseconds, and much more where other programs want the cores too.
template <class Body>
void parallel_for(int64_t count, int64_t work, Body body) {
  constexpr int64_t kWorthATeam = 32768;
#pragma omp parallel for schedule(static) if (count * work > kWorthATeam)
  for (int64_t i = 0; i < count; ++i) body(i);
}

/// body(first, last) over pieces of 0 to count - 1.
template <class Body>
void parallel_pieces(int64_t count, Body body) {
  constexpr int64_t kPiece = 2048;
  parallel_for((count + kPiece - 1) / kPiece, kPiece, [&](int64_t piece) {
    const int64_t first = piece * kPiece;
    body(first, first + kPiece < count ? first + kPiece : count);
  });
}

}  // namespace flash_mla::runtime
