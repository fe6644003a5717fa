// Planning: how a batch's work is split over workers. Pure, cheap, reusable over the layers of a step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "flash_mla/export.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla {

namespace internal {
struct PlanState;
}

/// The shapes of one decode call.
struct DecodeShape {
  DType dtype = DType::bfloat16;      ///< of q, k cache and v cache: bfloat16, float16 or float32
  DType out_dtype = DType::bfloat16;  ///< dtype, or float32
  int64_t batch = 0;                  ///< b, sequences
  int64_t s_q = 1;                    ///< query tokens a sequence; ignored for ragged q
  int64_t h_q = 0;                    ///< query heads, a multiple of h_kv
  int64_t h_kv = 1;                   ///< KV heads
  int64_t d = 576;                    ///< key width, 1 to 1024
  int64_t d_v = 512;                  ///< value width, 1 to 1024; at most d unless separate_v
  int64_t page_size = 64;             ///< tokens a page
  bool separate_v = false;            ///< false: V is the first d_v columns of K (MLA). true: V has its own cache
};

/// Which keys a query row sees. With `causal`, query j of a sequence with s_q queries and s_k cached tokens sees keys
/// k < s_k - (s_q - 1 - j); else all s_k.
struct Mask {
  bool causal = false;
  int64_t window = 0;  ///< 0: no window. w > 0: only the last w of those keys ...
  int64_t sinks = 0;   ///< ... plus those among the first `sinks` of the sequence; has no effect without a window
};

enum class PlanMode : int32_t {
  standard = 0,         ///< best balance for this batch
  batch_invariant = 1,  ///< a sequence is split by its own length alone: no bit depends on the rest of the batch
};

struct PlanSpec {
  DecodeShape shape;
  const int32_t* seqlens = nullptr;       ///< [b] cached tokens of each sequence, its new ones included; 0 is legal
  const int32_t* cu_seqlens_q = nullptr;  ///< [b + 1] for ragged q: sequence i owns query rows cu[i] to cu[i + 1]
  Mask mask;
  PlanMode mode = PlanMode::standard;
  /// CUDA backends: lengths are read on the device, each time by Plan::plan_on_device(); seqlens is not looked at. Not
  /// for ragged q or batch-invariant plans, and for at most 256 workers.
  bool lengths_on_device = false;
  int num_workers = 0;       ///< workers to balance for, 1 to 1024; 0 means default_num_workers(), or a GPU's SMs
  std::string_view backend;  ///< a name from backends(); empty: $FLASH_MLA_BACKEND if set, else the best usable one
};

/// A plan: the split of one batch for one backend. Copies its lengths, so the spec may go away. Immutable while decode
/// calls use it; any number of them may do so at the same time.
class FLASH_MLA_API Plan {
 public:
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  /// Errors: invalid_argument (names the field), unsupported or not_found (backend).
  static Result<Plan> make(const PlanSpec& spec);
  /// Plans anew in place, reusing this plan's memory: the way to plan each step. On error the plan is unchanged.
  Status remake(const PlanSpec& spec);

  /// Bytes of workspace a decode call with this plan needs (alignment: kWorkspaceAlignment). 0 is possible.
  [[nodiscard]] size_t workspace_size() const;
  /// CUDA backends: copies the plan to the workspace that decode() will be given, in the stream's order, once a plan
  /// and workspace; the workspace keeps it until it is used with another plan. The plan may be made anew once the copy
  /// is done. Others need no upload, which then does nothing. Errors: invalid_argument (workspace), device_error.
  [[nodiscard]] Status upload(void* workspace, size_t workspace_size, void* stream) const;
  /// The same for plans with lengths_on_device, from `seqlens` [b] int32 in the device's memory: one launch in the
  /// stream's order, no allocation and no synchronisation, so that a captured graph plans anew in every replay.
  /// Negative lengths count as 0. Errors: invalid_argument, device_error.
  [[nodiscard]] Status plan_on_device(const ConstTensor& seqlens, void* workspace, size_t workspace_size,
                                      void* stream) const;

  [[nodiscard]] const char* backend() const;
  [[nodiscard]] int num_workers() const;
  /// Independent pieces of work, and how many of those are parts of a split sequence that need merging. 0 where the
  /// device plans.
  [[nodiscard]] int64_t num_units() const;
  [[nodiscard]] int64_t num_split_units() const;

  [[nodiscard]] const internal::PlanState& state() const { return *state_; }

 private:
  explicit Plan(std::unique_ptr<internal::PlanState> state);
  std::unique_ptr<internal::PlanState> state_;
};

inline constexpr size_t kWorkspaceAlignment = 64;

}  // namespace flash_mla
