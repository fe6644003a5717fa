// merge(): partial results in, one result out, row by row.
#include "flash_mla/merge.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/check_tensor.h"
#include "core/element.h"
#include "core/error.h"

namespace flash_mla {

namespace {

constexpr float kEmpty = -std::numeric_limits<float>::infinity();

Status check_pair(const ConstTensor& out, const ConstTensor& lse, const std::string& prefix, const ConstTensor& like) {
  const std::string out_name = prefix + "out", lse_name = prefix + "lse";
  if (like.rank == 4) {
    FLASH_MLA_RETURN_IF_ERROR(core::check_array(
        out, {out_name.c_str(), "[b, s_q, h_q, d_v]", {like.shape[0], like.shape[1], like.shape[2], like.shape[3]}}));
    FLASH_MLA_RETURN_IF_ERROR(
        core::check_array(lse, {lse_name.c_str(), "[b, h_q, s_q]", {like.shape[0], like.shape[2], like.shape[1]}}));
  } else {
    FLASH_MLA_RETURN_IF_ERROR(core::check_array(
        out, {out_name.c_str(), "[total_q, h_q, d_v]", {like.shape[0], like.shape[1], like.shape[2]}}));
    FLASH_MLA_RETURN_IF_ERROR(
        core::check_array(lse, {lse_name.c_str(), "[h_q, total_q]", {like.shape[1], like.shape[0]}}));
  }
  if (!core::is_floating(out.dtype)) {
    return core::invalid("{} has dtype {}; expected float32, bfloat16 or float16", out_name, name_of(out.dtype));
  }
  FLASH_MLA_RETURN_IF_ERROR(core::check_dtype(lse, lse_name.c_str(), DType::float32));
  return core::check_last_stride(out, out_name.c_str());
}

/// Offsets of one query row: [sequence, token, head] where there are sequences, else [token, head].
struct RowOffsets {
  int64_t out, lse;
};
RowOffsets row_offsets(const ConstTensor& out, const ConstTensor& lse, int64_t sequence, int64_t token, int64_t head) {
  if (out.rank == 4) {
    return {sequence * out.strides[0] + token * out.strides[1] + head * out.strides[2],
            sequence * lse.strides[0] + head * lse.strides[1] + token * lse.strides[2]};
  }
  return {token * out.strides[0] + head * out.strides[1], head * lse.strides[0] + token * lse.strides[1]};
}

float lse_at(const ConstTensor& lse, int64_t offset) {
  return static_cast<const float*>(lse.data)[offset];
}

/// The parts are read into `row` before anything is written, so the target may be one of them.
void merge_row(std::span<const PartialResult> parts, const Tensor& out, const Tensor& lse, int64_t sequence,
               int64_t token, int64_t head, std::vector<float>& row) {
  float max = kEmpty;
  for (const PartialResult& part : parts) {
    max = std::fmax(max, lse_at(part.lse, row_offsets(part.out, part.lse, sequence, token, head).lse));
  }
  const double shift = std::isfinite(max) ? max : 0;
  std::fill(row.begin(), row.end(), -0.0f);  // what changes no value it is added to, -0 included
  double sum = 0;
  for (const PartialResult& part : parts) {
    const RowOffsets at = row_offsets(part.out, part.lse, sequence, token, head);
    const float part_lse = lse_at(part.lse, at.lse);
    if (part_lse == kEmpty) continue;
    const double weight = std::exp(part_lse - shift);
    sum += weight;
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] += static_cast<float>(weight) *
                core::load_element(part.out.data, part.out.dtype, at.out + static_cast<int64_t>(i));
    }
  }
  const RowOffsets at = row_offsets(out, lse, sequence, token, head);
  const bool empty = sum == 0;
  const float factor = empty ? 0.0f : static_cast<float>(1.0 / sum);
  for (size_t i = 0; i < row.size(); ++i) {
    core::store_element(out.data, out.dtype, at.out + static_cast<int64_t>(i), empty ? 0.0f : row[i] * factor);
  }
  static_cast<float*>(lse.data)[at.lse] = empty ? kEmpty : static_cast<float>(shift + std::log(sum));
}

}  // namespace

Status merge(std::span<const PartialResult> parts, const Tensor& out, const Tensor& lse) {
  if (parts.empty()) return core::invalid("parts is empty; expected at least one");
  if (out.rank != 3 && out.rank != 4) {
    return core::invalid("out has rank {}; expected [b, s_q, h_q, d_v] or [total_q, h_q, d_v]", out.rank);
  }
  FLASH_MLA_RETURN_IF_ERROR(check_pair(out, lse, "", out));
  FLASH_MLA_RETURN_IF_ERROR(core::check_no_overlap(out, "out"));
  FLASH_MLA_RETURN_IF_ERROR(core::check_no_overlap(lse, "lse"));
  for (size_t i = 0; i < parts.size(); ++i) {
    FLASH_MLA_RETURN_IF_ERROR(check_pair(parts[i].out, parts[i].lse, core::format("parts[{}].", i), out));
  }
  const bool batched = out.rank == 4;
  const int64_t sequences = batched ? out.shape[0] : 1, tokens = out.shape[batched ? 1 : 0],
                heads = out.shape[batched ? 2 : 1];
  std::vector<float> row(static_cast<size_t>(out.shape[batched ? 3 : 2]));
  for (int64_t sequence = 0; sequence < sequences; ++sequence) {
    for (int64_t token = 0; token < tokens; ++token) {
      for (int64_t head = 0; head < heads; ++head) merge_row(parts, out, lse, sequence, token, head, row);
    }
  }
  return {};
}

}  // namespace flash_mla
