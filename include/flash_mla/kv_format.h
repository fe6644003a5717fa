// Formats of a page of KV cache, as descriptors: how many bytes a token takes, where its scales lie, and conversion of
// rows to and from them. decode() reads bfloat16, float16 and float32 caches; the others are for storage, transfer and
// kernels to come. Scales lie in the page, so whoever copies, swaps or saves page_bytes() bytes moves them too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "flash_mla/export.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla {

enum class KvFormatKind : int32_t {
  bfloat16 = 0,  ///< 1152 bytes a token of 512 + 64 columns
  float16 = 1,   ///< 1152
  /// 576: every column as e4m3 of value / scale, with one scale for the whole cache, which is not stored.
  fp8_flat = 2,
  /// 656, FlashMLA's layout for DeepSeek-V3.2 (github.com/deepseek-ai/FlashMLA, tests/quant.py): the latent as e4m3,
  /// then a float32 scale for each `group` columns, then the rope columns as bfloat16. A scale is the smallest power of
  /// two with max(|values|, 1e-4) <= 448 scale.
  fp8_scaled = 3,
  /// 656: the latent as int8 with a float32 scale, max(|values|) / 127, for each `group` columns, then the rope columns
  /// as bfloat16. All scales of a page follow its last token.
  int8_scaled = 4,
};

/// "bfloat16", "float16", "fp8_flat", "fp8_scaled", "int8_scaled"; "unknown" for a value outside the enumeration.
FLASH_MLA_API const char* name_of(KvFormatKind kind);

struct KvFormatSpec {
  KvFormatKind kind = KvFormatKind::bfloat16;
  int64_t latent = 512;    ///< first columns of a row, 1 to 1024
  int64_t rope = 64;       ///< last columns of a row, 0 to 1024
  int64_t group = 128;     ///< latent columns that share a scale, 1 to 1024; the last group may be shorter
  int64_t page_size = 64;  ///< tokens, 1 to 2^20
  float scale = 1;         ///< fp8_flat: above 0, finite, and so is 1 / scale
};

/// Offsets and sizes in bytes.
struct KvFormatLayout {
  int64_t token_bytes = 0;   ///< of one token, its scales included: page_bytes / page_size
  int64_t page_bytes = 0;    ///< of one page
  int64_t token_stride = 0;  ///< token t's columns begin at t * token_stride
  int64_t rope_offset = 0;   ///< its rope columns at t * token_stride + rope_offset
  int64_t num_scales = 0;    ///< float32 scales a token in the page; 0: none
  int64_t scale_offset = 0;  ///< token t's first scale is at scale_offset + t * scale_stride
  int64_t scale_stride = 0;
};

class FLASH_MLA_API KvFormat {
 public:
  /// Errors: invalid_argument.
  static Result<KvFormat> make(const KvFormatSpec& spec);

  [[nodiscard]] const KvFormatSpec& spec() const { return spec_; }
  [[nodiscard]] const KvFormatLayout& layout() const { return layout_; }
  [[nodiscard]] int64_t token_bytes() const { return layout_.token_bytes; }
  [[nodiscard]] int64_t page_bytes() const { return layout_.page_bytes; }
  /// Columns of a row: latent + rope.
  [[nodiscard]] int64_t width() const { return spec_.latent + spec_.rope; }

  /// Writes rows [n, latent + rope] (float32, bfloat16 or float16) as tokens first_token to first_token + n - 1 of a
  /// page of page_bytes() bytes at any alignment; other tokens stay as they are. Rounds to nearest even.
  /// - A finite value beyond a format's largest: +-448 * scale in fp8_flat, infinity in float16 and bfloat16. The
  /// formats
  ///   with scales have none.
  /// - NaN stays NaN. e4m3 has no infinity and int8 neither that nor NaN: infinity becomes NaN in FP8, and with int8 a
  /// NaN
  ///   or infinity turns its whole group into NaN: bad values are never made to look like good ones. They do not
  ///   affect the scales of FP8.
  /// Errors: invalid_argument; nothing is written then.
  Status quantise(const ConstTensor& rows, std::span<std::byte> page, int64_t first_token) const;

  /// The opposite: tokens of a page as rows. Code times scale is exact in float32 where the scale is a power of two and
  /// rounded to it elsewhere; rows of 16 bits round once more. Errors: invalid_argument; nothing is written then.
  Status dequantise(std::span<const std::byte> page, int64_t first_token, const Tensor& rows) const;

  /// The most by which `value`, of this column, can differ after quantise() and dequantise() to float32; `largest` is
  /// the largest magnitude in its group. Both finite.
  /// - bfloat16: |value| / 2^8, float16: |value| / 2^11, or half their smallest step; infinite where they overflow
  /// - e4m3: |value| / 16, or scale / 2^10 below scale / 2^6; fp8_flat also |value| - 448 scale where it saturates
  /// - int8: 0.50002 scale, scale = largest / 127 (or the smallest normal float32, if that is more)
  [[nodiscard]] double error_bound(int64_t column, double value, double largest) const;

 private:
  KvFormat(const KvFormatSpec& spec, const KvFormatLayout& layout) : spec_(spec), layout_(layout) {}

  KvFormatSpec spec_;
  KvFormatLayout layout_;
};

}  // namespace flash_mla
