#include "cpu/kernel.h"

namespace flash_mla::cpu {

namespace {

constexpr size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

size_t scratch_size(int64_t panels, int d, int d_v, bool separate_v) {
  // The widest form: float32 words, columns in blocks of 64 (attend.h, Scratch and Widths).
  const size_t lanes = static_cast<size_t>(panels) * kPanelRows;
  const size_t k_width = round_up(static_cast<size_t>(d), 2);
  const size_t v_width = round_up(static_cast<size_t>(d_v), 64);
  const size_t staged = (k_width > v_width ? k_width : v_width) + (separate_v ? v_width : 0);
  const size_t floats =
      lanes * k_width + lanes * v_width + 3 * size_t{kMaxTileKeys} * kPanelRows + kMaxTileKeys * staged;
  return round_up(4 * floats, 64) + lanes / kPanelRows * kOutstandingBytes + size_t{6} * 64;
}

}  // namespace flash_mla::cpu
