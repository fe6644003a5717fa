#include "check/fast_reference.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "check/attend_fp64.h"

namespace flash_mla::cli {
namespace {

AttendFp64 kernel_named(const std::string& name) {
#if defined(__x86_64__)
  if (name == "avx512" && __builtin_cpu_supports("avx512f") != 0) return attend_fp64_avx512();
  if (name == "avx2" && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0)
    return attend_fp64_avx2();
#endif
  return name == "portable" ? attend_fp64_portable() : nullptr;
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

int32_t int32_at(const ConstTensor& array, int64_t index) {
  return static_cast<const int32_t*>(array.data)[index * array.strides[0]];
}

/// One query token of one sequence, and the heads [head, head + heads) of one KV head.
struct Piece {
  int64_t sequence = 0;
  int64_t token = 0;
  int64_t s_q = 0;
  int64_t row = 0;  ///< of all query tokens
  int64_t head = 0;
  int64_t heads = 0;
};

struct Call {
  const DecodeArgs& args;
  const Mask& mask;
  int64_t d_v;

  [[nodiscard]] bool ragged() const { return !args.cu_seqlens_q.absent(); }
  [[nodiscard]] int64_t batch() const { return args.seqlens.shape[0]; }
  [[nodiscard]] int64_t h_q() const { return args.q.shape[ragged() ? 1 : 2]; }
  [[nodiscard]] int64_t h_kv() const { return args.k_cache.shape[2]; }
  [[nodiscard]] int64_t d() const { return args.k_cache.shape[3]; }
  [[nodiscard]] int64_t total_q() const { return ragged() ? args.q.shape[0] : batch() * args.q.shape[1]; }
  [[nodiscard]] double scale() const { return args.scale.value_or(1 / std::sqrt(static_cast<double>(d()))); }
};

std::vector<Piece> cut(const Call& call) {
  const int64_t group = call.h_q() / call.h_kv();
  std::vector<Piece> pieces;
  for (int64_t sequence = 0; sequence < call.batch(); ++sequence) {
    const int64_t first = call.ragged() ? int32_at(call.args.cu_seqlens_q, sequence) : sequence * call.args.q.shape[1];
    const int64_t s_q = call.ragged() ? int32_at(call.args.cu_seqlens_q, sequence + 1) - first : call.args.q.shape[1];
    for (int64_t token = 0; token < s_q; ++token) {
      for (int64_t head = 0; head < call.h_q();) {
        const int64_t heads = std::min(kHeadsPerUnit, group - head % group);
        pieces.push_back({sequence, token, s_q, first + token, head, heads});
        head += heads;
      }
    }
  }
  return pieces;
}

/// The keys that a query token sees, ascending.
std::vector<int64_t> seen_keys(const Call& call, const Piece& piece) {
  const int64_t s_k = int32_at(call.args.seqlens, piece.sequence);
  const int64_t end = call.mask.causal ? s_k - (piece.s_q - 1 - piece.token) : s_k;
  std::vector<int64_t> keys;
  for (int64_t key = 0; key < end; ++key) {
    const bool in_window = call.mask.window == 0 || key >= end - call.mask.window;
    if (in_window || key < call.mask.sinks) keys.push_back(key);
  }
  return keys;
}

/// Where the rows of these keys begin in a cache.
std::vector<int64_t> rows_in(const ConstTensor& cache, const Call& call, const Piece& piece,
                             const std::vector<int64_t>& keys) {
  const ConstTensor& table = call.args.page_table;
  const auto* pages = static_cast<const int32_t*>(table.data) + piece.sequence * table.strides[0];
  const int64_t page_size = cache.shape[1];
  const int64_t kv_head = piece.head / (call.h_q() / call.h_kv());
  std::vector<int64_t> rows(keys.size());
  std::transform(keys.begin(), keys.end(), rows.begin(), [&](int64_t key) {
    const int64_t page = pages[key / page_size * table.strides[1]];
    return page * cache.strides[0] + key % page_size * cache.strides[1] + kv_head * cache.strides[2];
  });
  return rows;
}

void attend(const Call& call, const Piece& piece, AttendFp64 kernel, double* scratch, ReferenceResult& result) {
  const DecodeArgs& args = call.args;
  const std::vector<int64_t> keys = seen_keys(call, piece);
  const std::vector<int64_t> k_rows = rows_in(args.k_cache, call, piece, keys);
  std::vector<int64_t> v_rows;
  if (!args.v_cache.absent()) v_rows = rows_in(args.v_cache, call, piece, keys);

  AttentionUnit unit;
  unit.dtype = args.q.dtype;
  unit.heads = piece.heads;
  unit.keys = static_cast<int64_t>(keys.size());
  unit.d = call.d();
  unit.d_v = call.d_v;
  unit.scale = call.scale();
  const auto& strides = args.q.strides;
  const int64_t q_offset = call.ragged()
                               ? piece.row * strides[0] + piece.head * strides[1]
                               : piece.sequence * strides[0] + piece.token * strides[1] + piece.head * strides[2];
  unit.q = static_cast<const char*>(args.q.data) + q_offset * static_cast<int64_t>(size_of(unit.dtype));
  unit.q_head_stride = strides[call.ragged() ? 1 : 2];
  unit.k = args.k_cache.data;
  unit.k_rows = k_rows.data();
  unit.v = args.v_cache.absent() ? args.k_cache.data : args.v_cache.data;
  unit.v_rows = args.v_cache.absent() ? nullptr : v_rows.data();
  unit.out = result.out.data() + (piece.row * call.h_q() + piece.head) * call.d_v;
  if (call.ragged()) {
    unit.lse = result.lse.data() + piece.head * call.total_q() + piece.row;
    unit.lse_stride = call.total_q();
  } else {
    unit.lse = result.lse.data() + (piece.sequence * call.h_q() + piece.head) * piece.s_q + piece.token;
    unit.lse_stride = piece.s_q;
  }
  unit.scratch = scratch;
  kernel(unit);
}

}  // namespace

std::vector<std::string> fast_reference_variants() {
  std::vector<std::string> usable;
  for (const char* name : {"avx512", "avx2", "portable"}) {
    if (kernel_named(name) != nullptr) usable.emplace_back(name);
  }
  return usable;
}

ReferenceResult fast_reference(const DecodeArgs& args, const Mask& mask, int64_t d_v, const std::string& variant) {
  const AttendFp64 kernel = kernel_named(variant.empty() ? fast_reference_variants().front() : variant);
  const Call call{args, mask, d_v};
  const std::vector<Piece> pieces = cut(call);
  ReferenceResult result;
  result.out.resize(static_cast<size_t>(call.total_q() * call.h_q() * d_v));
  result.lse.resize(static_cast<size_t>(call.total_q() * call.h_q()));
#pragma omp parallel
  {
    const auto bytes = static_cast<size_t>(attend_fp64_scratch(call.d(), d_v)) * sizeof(double);
    const std::unique_ptr<double, Free> scratch(static_cast<double*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < pieces.size(); ++i) attend(call, pieces[i], kernel, scratch.get(), result);
  }
  return result;
}

}  // namespace flash_mla::cli
