// The inputs of a family of cases.
#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "check/array.h"
#include "check/case.h"
#include "check/normal_table.h"
#include "flash_mla/decode.h"

namespace flash_mla::cli {

/// Entries of a page table that name no page hold this.
inline constexpr int32_t kDeadPage = 2147480000;

class DataSet {
 public:
  /// Replaces what was there. Rows past a sequence's length, pages that no sequence owns and all slack are NaN; entries
  /// of the page table that no query needs are kDeadPage; pages are handed out in random order. Throws std::bad_alloc.
  void build(const DataSpec& spec);

  [[nodiscard]] const DataSpec& spec() const { return spec_; }
  /// The largest case's arrays, without outputs and workspace.
  [[nodiscard]] DecodeArgs args() const;
  /// Address of a query row; `row` counts the query tokens of all sequences.
  [[nodiscard]] const std::byte* query(int64_t row, int64_t head) const { return q_.at(row, head); }
  [[nodiscard]] int64_t total_q() const { return q_.view().shape[0]; }

 private:
  const NormalTable& table_for(uint64_t salt);
  void build_page_table();
  void fill_cache(Array& cache, int64_t width, uint64_t salt);
  void fill_queries();
  void plant_needles();

  DataSpec spec_;
  std::map<std::tuple<DType, Values, uint64_t>, std::unique_ptr<NormalTable>> tables_;
  Array q_;  ///< [total_q, h_q, d], dense
  Array k_;
  Array v_;
  Array page_table_;
  Array seqlens_;
  Array cu_seqlens_q_;
};

}  // namespace flash_mla::cli
