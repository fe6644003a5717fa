// Matrix products, by oneDNN; of a few bfloat16 rows by few_rows.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "model/precision.h"

namespace flash_mla::runtime {

/// oneDNN's engine, stream and the kernels made so far, which all layers of a model share. One thread at a time.
class Products;
std::shared_ptr<Products> make_products(Precision precision);

/// One matrix of a batch of products: `rows` of `inner` numbers, strides in elements, the last one 1.
struct Rows {
  int64_t batch_stride = 0;
  int64_t row_stride = 0;
};

/// Weights of one or more matrices [inner, outer], packed as oneDNN likes them best. Throws dnnl::error,
/// std::bad_alloc.
class PackedMatrix {
 public:
  /// How the weights lie before packing, in elements. Whichever is 1 is the contiguous axis.
  struct Source {
    int64_t batch_stride = 0;
    int64_t inner_stride = 0;
    int64_t outer_stride = 0;
  };
  PackedMatrix();
  PackedMatrix(std::shared_ptr<Products> products, int64_t batch, int64_t inner, int64_t outer, const Source& source,
               std::span<const float> values);
  PackedMatrix(PackedMatrix&&) noexcept;
  PackedMatrix& operator=(PackedMatrix&&) noexcept;
  ~PackedMatrix();

  /// out[b, r, :] = x[b, r, :] w[b]. `x` in the products' precision, `out` in float32 or that precision.
  void multiply(const void* x, const Rows& x_rows, int64_t rows, void* out, const Rows& out_rows, DType out_type) const;
  [[nodiscard]] int64_t inner() const;
  [[nodiscard]] int64_t outer() const;
  [[nodiscard]] int64_t bytes() const;
  [[nodiscard]] Precision precision() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flash_mla::runtime
