#include "check/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "common/bfloat16.h"
#include "flash_mla/backend.h"

namespace flash_mla::cli {
namespace {

/// A query row of a case: where it is in the case, and in its family.
struct Row {
  int64_t sequence = 0;  ///< of both; unused for ragged q
  int64_t token = 0;     ///< in the case: of its sequence, or of all for ragged q
  int64_t family_token = 0;
  int64_t head = 0;
  int64_t family_head = 0;
};

class RowMap {
 public:
  RowMap(const DataSet& data, const Case& one)
      : ragged_(!data.spec().cu_seqlens_q.empty()),
        tokens_(ragged_ ? data.total_q() : one.s_q),
        skipped_(ragged_ ? 0 : data.spec().shape.s_q - one.s_q),
        heads_(one.h_q),
        group_(one.h_q / data.spec().shape.h_kv),
        family_group_(data.spec().shape.h_q / data.spec().shape.h_kv),
        sequences_(ragged_ ? 1 : data.spec().shape.batch) {}

  [[nodiscard]] bool ragged() const { return ragged_; }
  [[nodiscard]] int64_t size() const { return sequences_ * tokens_ * heads_; }
  [[nodiscard]] Row row(int64_t index) const {
    const int64_t head = index % heads_;
    const int64_t token = index / heads_ % tokens_;
    return {index / heads_ / tokens_, token, token + skipped_, head, head / group_ * family_group_ + head % group_};
  }
  /// Of the family's query tokens, over all sequences.
  [[nodiscard]] int64_t family_row(const Row& row) const {
    return row.sequence * (tokens_ + skipped_) + row.family_token;
  }
  /// Of the family's lse, [b, h_q, s_q] or [h_q, total_q].
  [[nodiscard]] int64_t family_lse(const Row& row) const {
    const int64_t family_heads = heads_ / group_ * family_group_;
    return (row.sequence * family_heads + row.family_head) * (tokens_ + skipped_) + row.family_token;
  }

 private:
  bool ragged_;
  int64_t tokens_, skipped_, heads_, group_, family_group_, sequences_;
};

std::byte* element(const Array& array, const RowMap& map, const Row& row) {
  return map.ragged() ? array.at(row.token, row.head) : array.at(row.sequence, row.token, row.head);
}

const float* widen(DType dtype, const std::byte* data, int64_t count, std::vector<float>& to) {
  if (dtype == DType::float32) return reinterpret_cast<const float*>(data);
  if (dtype == DType::bfloat16) {
    const auto* from = reinterpret_cast<const uint16_t*>(data);
    for (int64_t i = 0; i < count; ++i) to[i] = from_bfloat16(from[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(load(dtype, data, i));
  }
  return to.data();
}

std::string name_row(const RowMap& map, const Row& row) {
  if (map.ragged()) return fmt::format("query {}, head {}: ", row.token, row.head);
  return fmt::format("sequence {}, query {}, head {}: ", row.sequence, row.token, row.head);
}

void run_with_openmp(void* /*pool*/, int count, void (*task)(void* context, int index), void* context) {
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < count; ++i) task(context, i);
}

Errors refused(const std::string& why) {
  Errors errors;
  errors.ratio_to_bar = std::numeric_limits<double>::infinity();
  errors.missed_rows = 1;
  errors.first_miss = why;
  return errors;
}

}  // namespace

bool is_on_cuda(std::string_view backend) {
  return std::ranges::any_of(backends(), [&](const BackendInfo& info) { return info.on_cuda && backend == info.name; });
}

Decoder library_decoder() {
  return [workspace = std::make_shared<Buffer>()](const PlanSpec& spec, const DecodeArgs& args) -> Status {
    const Result<Plan> plan = Plan::make(spec);
    if (!plan.ok()) return plan.status();
    DecodeArgs with_workspace = args;
    with_workspace.workspace_size = plan.value().workspace_size();
    with_workspace.workspace = workspace->resize(with_workspace.workspace_size);
    return decode(plan.value(), with_workspace);
  };
}

void Trial::make_arrays(const DataSet& data, const Case& one) {
  const DataSpec& spec = data.spec();
  const DecodeShape& shape = spec.shape;
  const int64_t b = shape.batch;
  if (spec.cu_seqlens_q.empty()) {
    q_.make(shape.dtype, {b, one.s_q, one.h_q, shape.d}, spec.layout, {1, 2});
    out_.make(one.out_dtype, {b, one.s_q, one.h_q, shape.d_v}, spec.layout, {1, 2});
    lse_.make(DType::float32, {b, one.h_q, one.s_q}, spec.layout, {1, 2, true});
  } else {
    q_.make(shape.dtype, {data.total_q(), one.h_q, shape.d}, spec.layout, {0, 1});
    out_.make(one.out_dtype, {data.total_q(), one.h_q, shape.d_v}, spec.layout, {0, 1});
    lse_.make(DType::float32, {one.h_q, data.total_q()}, spec.layout, {0, 1, true});
  }
  const RowMap map(data, one);
  const auto bytes = static_cast<size_t>(shape.d) * size_of(shape.dtype);
#pragma omp parallel for
  for (int64_t i = 0; i < map.size(); ++i) {
    const Row row = map.row(i);
    std::memcpy(element(q_, map, row), data.query(map.family_row(row), row.family_head), bytes);
  }
}

Errors Trial::judge(const DataSet& data, const Case& one, const ReferenceResult& reference, bool on_cuda) const {
  const int64_t d_v = data.spec().shape.d_v;
  const int64_t family_heads = data.spec().shape.h_q;
  const RowMap map(data, one);
  Errors all;
#pragma omp parallel
  {
    std::vector<float> widened(static_cast<size_t>(d_v));
    Errors mine;
#pragma omp for schedule(static) nowait
    for (int64_t i = 0; i < map.size(); ++i) {
      const Row row = map.row(i);
      const double expected_lse = reference.lse[map.family_lse(row)];
      const double* expected = &reference.out[(map.family_row(row) * family_heads + row.family_head) * d_v];
      Errors errors =
          compare_row(widen(one.out_dtype, element(out_, map, row), d_v, widened), expected, d_v, expected_lse);
      if (one.with_lse) {
        const std::byte* lse = map.ragged() ? lse_.at(row.head, row.token) : lse_.at(row.sequence, row.head, row.token);
        errors.merge(compare_lse(*reinterpret_cast<const float*>(lse), expected_lse, on_cuda));
      }
      if (errors.missed_rows > 0) errors.first_miss = name_row(map, row) + errors.first_miss;
      errors.missed_rows = errors.missed_rows > 0 ? 1 : 0;
      mine.merge(errors);
    }
#pragma omp critical
    all.merge(mine);
  }
  if (!out_.surroundings_intact()) all.merge(refused("memory beside out was written"));
  if (!lse_.surroundings_intact()) all.merge(refused("memory beside lse was written"));
  return all;
}

Errors Trial::run(const DataSet& data, const Case& one, const ReferenceResult& reference, std::string_view backend,
                  int threads, const Decoder& decode) {
  make_arrays(data, one);
  const DataSpec& spec = data.spec();
  PlanSpec plan;
  plan.shape = spec.shape;
  plan.shape.s_q = one.s_q;
  plan.shape.h_q = one.h_q;
  plan.shape.out_dtype = one.out_dtype;
  plan.seqlens = spec.seqlens.data();
  plan.cu_seqlens_q = spec.cu_seqlens_q.empty() ? nullptr : spec.cu_seqlens_q.data();
  plan.mask = spec.mask;
  plan.mask.causal = one.causal;
  plan.mode = one.mode;
  plan.num_workers = one.workers > 0 ? one.workers : threads;
  plan.backend = backend;

  const Executor executor{nullptr, run_with_openmp};
  DecodeArgs args = data.args();
  args.q = q_.view();
  args.out = out_.view();
  if (one.with_lse) args.lse = lse_.view();
  if (one.workers > 0) args.executor = &executor;
  const Status status = decode(plan, args);
  if (!status.ok()) return refused("refused: " + status.message());
  return judge(data, one, reference, is_on_cuda(backend));
}

}  // namespace flash_mla::cli
