// merge(): parts of any type, layout and weight, and malformed ones, against the formula in float64.
#include <algorithm>
#include <cmath>

#include "bytes.h"
#include "flash_mla/merge.h"
#include "require.h"
#include "spoil.h"
#include "support/array.h"
#include "support/element.h"
#include "support/random.h"

namespace flash_mla::fuzz {
namespace {

using test::Array;
using test::Border;
using test::Layout;

struct Part {
  Array out, lse;
};

class MergeFuzz {
 public:
  explicit MergeFuzz(Bytes& bytes) : bytes_(bytes), ragged_(bytes.flag()) {
    b_ = ragged_ ? 1 : bytes.number(0, 2);
    tokens_ = bytes.number(0, 3), heads_ = bytes.number(1, 3), width_ = bytes.number(1, 9);
    for (int64_t left = bytes.number(0, 4); left > 0; --left) parts_.push_back(random_part());
    target_ = make_part();
  }

  void run() {
    std::vector<PartialResult> views;
    for (const Part& part : parts_) views.push_back({part.out.view(), part.lse.view()});
    Tensor out = target_.out.view(), lse = target_.lse.view();
    const bool malformed = bytes_.rarely(3) && spoil(views, out, lse);
    const Status status = merge(views, out, lse);
    if (malformed || views.empty()) {
      require(!status.ok(), "took a call that had to be refused");
      require(target_.out.untouched() && target_.lse.untouched(), "wrote although it refused", status.message());
      return;
    }
    require(status.ok(), "refused a good call", status.message());
    require(target_.out.surroundings_intact() && target_.lse.surroundings_intact(), "wrote beside its outputs");
    for (int64_t i = 0; i < b_; ++i) {
      for (int64_t token = 0; token < tokens_; ++token) {
        for (int64_t head = 0; head < heads_; ++head) judge_row(i, token, head);
      }
    }
  }

 private:
  Part make_part() {
    const DType dtype = bytes_.pick({DType::float32, DType::bfloat16, DType::float16});
    const bool padded = bytes_.flag();
    const Layout layout = padded ? Layout{.slack = {1, 3, 2, 5}, .offset = 1} : Layout{};
    const Layout lse_layout = padded ? Layout{.slack = {2, 1, 1}, .last_stride = 2, .offset = 1} : Layout{};
    if (ragged_) {
      return {Array(dtype, {tokens_, heads_, width_}, layout, Border::heap),
              Array(DType::float32, {heads_, tokens_}, lse_layout, Border::heap)};
    }
    return {Array(dtype, {b_, tokens_, heads_, width_}, layout, Border::heap),
            Array(DType::float32, {b_, heads_, tokens_}, lse_layout, Border::heap)};
  }

  Part random_part() {
    Part part = make_part();
    for (int64_t i = 0; i < b_; ++i) {
      for (int64_t token = 0; token < tokens_; ++token) {
        for (int64_t head = 0; head < heads_; ++head) {
          const double weight = bytes_.pick({0.0, 1.0, -3.0, 20.0, -HUGE_VAL, -200.0, 1e30, -1e30});
          ragged_ ? part.lse.set(weight, head, token) : part.lse.set(weight, i, head, token);
          const double scale = bytes_.rarely(8) ? std::nan("") : 1;
          for (int64_t column = 0; column < width_; ++column) {
            const double value = test::normal(test::mix(++drawn_)) * scale;
            ragged_ ? part.out.set(value, token, head, column) : part.out.set(value, i, token, head, column);
          }
        }
      }
    }
    return part;
  }

  [[nodiscard]] double lse_of(const Part& part, int64_t i, int64_t token, int64_t head) const {
    return ragged_ ? part.lse.get(head, token) : part.lse.get(i, head, token);
  }
  [[nodiscard]] double out_of(const Part& part, int64_t i, int64_t token, int64_t head, int64_t column) const {
    return ragged_ ? part.out.get(token, head, column) : part.out.get(i, token, head, column);
  }

  void judge_row(int64_t i, int64_t token, int64_t head) const {
    double max = -HUGE_VAL;
    for (const Part& part : parts_) max = std::max(max, lse_of(part, i, token, head));
    const bool empty = max == -HUGE_VAL;
    double sum = 0;
    for (const Part& part : parts_) sum += empty ? 0 : std::exp(lse_of(part, i, token, head) - max);
    const double lse = lse_of(target_, i, token, head);
    require(empty ? lse == max : std::fabs(lse - (max + std::log(sum))) <= 1e-6 * std::max(1.0, std::fabs(max)), "lse",
            std::to_string(lse));
    for (int64_t column = 0; column < width_; ++column) {
      double expected = 0;
      for (const Part& part : parts_) {
        const double weight = lse_of(part, i, token, head);
        if (weight != -HUGE_VAL) expected += std::exp(weight - max) / sum * out_of(part, i, token, head, column);
      }
      const double out = out_of(target_, i, token, head, column);
      const double precision = target_.out.view().dtype == DType::bfloat16 ? 4e-3 : 1e-3;
      const bool close = std::fabs(out - expected) <=
                         1e-5 + (target_.out.view().dtype == DType::float32 ? 0 : precision) * std::fabs(expected);
      require(empty ? out == 0 : std::isnan(expected) ? std::isnan(out) : close, "out", std::to_string(out));
    }
  }

  /// Whether it left the call malformed.
  bool spoil(std::vector<PartialResult>& views, Tensor& out, Tensor& lse) {
    const auto spoil_one = [&](auto& view, const Array& array) {
      const auto before = view;
      spoil_view(view, bytes_);
      if (judge_view(view, before.rank, array.memory().data(), array.memory().size()) == Verdict::malformed) {
        // A target of the other rank makes parts of the other rank right, and these parts are not.
        return true;
      }
      view = before;
      return false;
    };
    const int64_t which = bytes_.number(0, 2 * static_cast<int64_t>(views.size()) + 1);
    if (which == 0) return spoil_one(out, target_.out);
    if (which == 1) return spoil_one(lse, target_.lse);
    const auto part = static_cast<size_t>(which / 2 - 1);
    return which % 2 == 0 ? spoil_one(views[part].out, parts_[part].out) : spoil_one(views[part].lse, parts_[part].lse);
  }

  Bytes& bytes_;
  bool ragged_;
  int64_t b_, tokens_, heads_, width_;
  std::vector<Part> parts_;
  Part target_;
  uint64_t drawn_ = 0;
};

}  // namespace
}  // namespace flash_mla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flash_mla::fuzz::Bytes bytes(data, size);
  flash_mla::fuzz::MergeFuzz(bytes).run();
  return 0;
}
