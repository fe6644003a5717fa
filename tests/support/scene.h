// The arrays of a decode call, filled with random numbers where they are live and poisoned where they are dead.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "flash_mla/decode.h"
#include "support/array.h"

namespace flash_mla::test {

enum class Spread {
  dense,
  padded,       ///< slack behind every axis, and a start that is aligned to an element only
  heads_first,  ///< in arrays of tokens and heads, the heads' axis lies outside; the page table is transposed
};

struct SceneSpec {
  DecodeShape shape;  ///< `batch` follows from seqlens
  std::vector<int32_t> seqlens;
  std::vector<int32_t> cu_seqlens_q;  ///< empty: uniform q
  Mask mask;
  std::optional<double> scale;
  double deviation = 1;         ///< of queries, keys and values
  uint64_t seed = 1;            ///< what the arrays hold
  uint64_t page_seed = 1;       ///< where it lies; 0: pages in order, and none to spare
  std::vector<uint64_t> names;  ///< [b] what a sequence holds follows its name, not its place; empty: 0, 1, 2, ...
  Spread spread = Spread::dense;
  Border border = Border::poison;
  bool cut_cache = false;  ///< with page_seed 0: memory ends behind the last live row of the last page
};

/// Rows past a sequence's length, keys that no query sees, pages that no sequence owns and all slack are NaN. Entries
/// of the page table that no query needs hold absurd numbers.
class Scene {
 public:
  explicit Scene(SceneSpec spec);

  [[nodiscard]] const SceneSpec& spec() const { return spec_; }
  [[nodiscard]] bool ragged() const { return !spec_.cu_seqlens_q.empty(); }
  [[nodiscard]] int64_t s_q(int64_t sequence) const;
  [[nodiscard]] int64_t first_query(int64_t sequence) const;
  [[nodiscard]] int64_t total_q() const;
  /// Whether query token `token` of a sequence sees a key, by the words of the contract.
  [[nodiscard]] bool sees(int64_t sequence, int64_t token, int64_t key) const;

  /// Inputs only: no outputs, no workspace.
  [[nodiscard]] DecodeArgs args() const;
  /// For one worker; lives as long as the scene.
  [[nodiscard]] PlanSpec plan_spec() const;
  [[nodiscard]] ReferenceResult reference() const;

  /// Overwrites one element of a cached key or value (where V is part of K, `set_value` is a key's element too).
  void set_key(int64_t sequence, int64_t key, int64_t head, int64_t column, double value);
  void set_value(int64_t sequence, int64_t key, int64_t head, int64_t column, double value);

  /// Overwrites every dead row of the caches and every dead entry of the page table.
  void fill_dead(double value, int32_t entry);

  Array q, k_cache, v_cache, page_table, seqlens, cu_seqlens_q;

 private:
  [[nodiscard]] bool seen_by_any(int64_t sequence, int64_t key) const;
  [[nodiscard]] Layout layout(std::vector<int> heads_first_order, int64_t last_stride) const;
  void make_page_table();
  void make_cache(Array& cache, int64_t width, uint64_t salt, int64_t pages);
  void make_queries();
  [[nodiscard]] uint64_t name(int64_t sequence) const;

  SceneSpec spec_;
};

/// Where a decode call of this scene writes.
struct Output {
  Array out;  ///< [b, s_q, h_q, d_v] or [total_q, h_q, d_v]
  Array lse;  ///< [b, h_q, s_q] or [h_q, total_q]

  explicit Output(const Scene& scene);
  [[nodiscard]] bool operator==(const Output& other) const {
    return out.bits() == other.out.bits() && lse.bits() == other.lse.bits();
  }
  void reset() { out.reset(), lse.reset(); }
  [[nodiscard]] bool untouched() const { return out.untouched() && lse.untouched(); }
  [[nodiscard]] bool surroundings_intact() const { return out.surroundings_intact() && lse.surroundings_intact(); }
};

/// A sequence's part of an output, bit by bit.
std::vector<std::byte> bits_of_sequence(const Scene& scene, const Output& output, int64_t sequence);

}  // namespace flash_mla::test
