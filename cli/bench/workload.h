// The arrays of a timed case.
#pragma once

#include <vector>

#include "bench/bench_case.h"
#include "check/buffer.h"
#include "flash_mla/decode.h"

namespace flash_mla::cli {

class Workload {
 public:
  /// As many copies of the KV cache as it takes for a cold one to be in no cache when its turn comes; one for a warm
  /// one. Throws std::bad_alloc.
  void build(const BenchCase& one, uint64_t seed);
  /// Bytes that build() takes for the KV cache.
  static int64_t pool_bytes(const BenchCase& one);

  [[nodiscard]] int64_t copies() const { return copies_; }
  /// Plans for this case. Errors: as Plan::make().
  Status plan(const char* backend, int threads);
  /// One decode call, over the copy whose turn it is.
  Status call();

 private:
  void build_page_tables(const BenchCase& one, uint64_t seed);

  BenchCase case_;
  int64_t copies_ = 1;
  int64_t turn_ = 0;
  int64_t columns_ = 0;
  int64_t pages_ = 0;
  Buffer k_, v_, q_, out_, lse_, workspace_;
  std::vector<int32_t> page_tables_;  ///< [copies, b, columns]
  std::vector<Plan> plan_;            ///< none or one
  DecodeArgs args_;
};

}  // namespace flash_mla::cli
