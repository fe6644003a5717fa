// What a format's page looks like.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "flash_mla/kv_format.h"
#include "kv_format/scale.h"

namespace flash_mla {

namespace {

constexpr int64_t kMaxColumns = 1024;
constexpr int64_t kMaxPageSize = 1 << 20;
constexpr int64_t kScaleBytes = sizeof(float);

struct Limit {
  const char* name;
  int64_t value;
  int64_t least;
  int64_t most;
};

Status check_spec(const KvFormatSpec& spec) {
  if (spec.kind < KvFormatKind::bfloat16 || spec.kind > KvFormatKind::int8_scaled) {
    return core::invalid("kind is {}; expected 0 (bfloat16) to 4 (int8_scaled)", static_cast<int>(spec.kind));
  }
  const Limit limits[] = {{"latent", spec.latent, 1, kMaxColumns},
                          {"rope", spec.rope, 0, kMaxColumns},
                          {"group", spec.group, 1, kMaxColumns},
                          {"page_size", spec.page_size, 1, kMaxPageSize}};
  for (const Limit& limit : limits) {
    if (limit.value < limit.least || limit.value > limit.most) {
      return core::invalid("{} is {}; expected {} to {}", limit.name, limit.value, limit.least, limit.most);
    }
  }
  if (spec.kind == KvFormatKind::fp8_flat && !(spec.scale > 0 && std::isfinite(spec.scale) &&
                                               std::isfinite(1 / spec.scale) && std::isfinite(448 * spec.scale))) {
    return core::invalid("scale is {}; expected a finite value above 0 whose inverse and 448-fold are finite",
                         spec.scale);
  }
  return {};
}

}  // namespace

const char* name_of(KvFormatKind kind) {
  switch (kind) {
    case KvFormatKind::bfloat16:
      return "bfloat16";
    case KvFormatKind::float16:
      return "float16";
    case KvFormatKind::fp8_flat:
      return "fp8_flat";
    case KvFormatKind::fp8_scaled:
      return "fp8_scaled";
    case KvFormatKind::int8_scaled:
      return "int8_scaled";
  }
  return "unknown";
}

Result<KvFormat> KvFormat::make(const KvFormatSpec& spec) {
  FLASH_MLA_RETURN_IF_ERROR(check_spec(spec));
  KvFormatLayout layout;
  const int64_t groups = (spec.latent + spec.group - 1) / spec.group;
  switch (spec.kind) {
    case KvFormatKind::bfloat16:
    case KvFormatKind::float16:
      layout.rope_offset = 2 * spec.latent;
      layout.token_stride = 2 * (spec.latent + spec.rope);
      break;
    case KvFormatKind::fp8_flat:
      layout.rope_offset = spec.latent;
      layout.token_stride = spec.latent + spec.rope;
      break;
    case KvFormatKind::fp8_scaled:
      layout.num_scales = groups;
      layout.scale_offset = spec.latent;
      layout.rope_offset = spec.latent + groups * kScaleBytes;
      layout.token_stride = layout.rope_offset + 2 * spec.rope;
      layout.scale_stride = layout.token_stride;
      break;
    case KvFormatKind::int8_scaled:
      layout.num_scales = groups;
      layout.rope_offset = spec.latent;
      layout.token_stride = spec.latent + 2 * spec.rope;
      layout.scale_offset = spec.page_size * layout.token_stride;
      layout.scale_stride = groups * kScaleBytes;
      break;
  }
  const bool scales_apart = spec.kind == KvFormatKind::int8_scaled;
  layout.token_bytes = layout.token_stride + (scales_apart ? layout.scale_stride : 0);
  layout.page_bytes = spec.page_size * layout.token_bytes;
  return KvFormat(spec, layout);
}

double KvFormat::error_bound(int64_t column, double value, double largest) const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double magnitude = std::abs(value);
  const bool rope = column >= spec_.latent;
  KvFormatKind kind = spec_.kind;
  if (rope && (kind == KvFormatKind::fp8_scaled || kind == KvFormatKind::int8_scaled)) kind = KvFormatKind::bfloat16;
  switch (kind) {
    case KvFormatKind::bfloat16:
      // From half way between the largest value and 2^128 on, it rounds to infinity.
      return magnitude >= 0x1.ffp127 ? kInfinity : std::max(magnitude * 0x1p-8, 0x1p-134);
    case KvFormatKind::float16:
      return magnitude >= 65520 ? kInfinity : std::max(magnitude * 0x1p-11, 0x1p-25);
    case KvFormatKind::fp8_flat: {
      // Dividing by a scale that is no power of two, and multiplying by it again, rounds.
      constexpr double kRounding = 1 + 0x1p-18;
      const double scale = spec_.scale;
      const double rounded = std::max(magnitude / 16, std::max(scale * 0x1p-10, 0x1p-149));
      return kRounding * std::max(rounded, magnitude - 448 * scale);
    }
    case KvFormatKind::fp8_scaled:
      return std::max(magnitude / 16, 0x1p-10 * kv_format::power_of_two_scale(static_cast<float>(largest)));
    case KvFormatKind::int8_scaled:
      break;
  }
  return 0.50002 * std::max(largest / kv_format::kInt8Largest, static_cast<double>(std::numeric_limits<float>::min()));
}

}  // namespace flash_mla
