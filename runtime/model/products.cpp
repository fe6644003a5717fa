#include "model/products.h"

#include <cstddef>
#include <map>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>

#include "model/few_rows.h"
#include "model/huge_pages.h"

namespace flash_mla::runtime {
namespace {

using Type = dnnl::memory::data_type;

Type type_of(DType dtype) {
  return dtype == DType::float32 ? Type::f32 : Type::bf16;
}

/// Rows of every matrix of a batch, from `data` on.
struct Operand {
  std::byte* data;
  Rows strides;
};

// The number of rows that weights are packed for, where oneDNN chooses how. Its layouts for 1 and for 512 rows differ
// little in speed. Each matrix of a batch is a product of its own: batched, oneDNN 2.6 packs weights anew at every
// call.
constexpr int64_t kPackedForRows = 16;
constexpr size_t kMostKernels = 4096;

}  // namespace

class Products {
 public:
  explicit Products(Precision precision) : precision_(precision) {}

  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, DType>;
  /// A kernel for these shapes, made once.
  const dnnl::matmul& kernel(const Key& key, const dnnl::memory::desc& x, const dnnl::memory::desc& weights,
                             const dnnl::memory::desc& out) {
    const auto found = kernels_.find(key);
    if (found != kernels_.end()) return found->second;
    if (kernels_.size() >= kMostKernels) kernels_.clear();
    const dnnl::matmul::desc description(x, weights, out);
    return kernels_.emplace(key, dnnl::matmul({description, engine_})).first->second;
  }

  [[nodiscard]] Precision precision() const { return precision_; }
  dnnl::engine& engine() { return engine_; }
  dnnl::stream& stream() { return stream_; }

 private:
  Precision precision_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::map<Key, dnnl::matmul> kernels_;
};

std::shared_ptr<Products> make_products(Precision precision) {
  return std::make_shared<Products>(precision);
}

struct PackedMatrix::State {
  std::shared_ptr<Products> products;
  int64_t batch = 0;
  int64_t inner = 0;
  int64_t outer = 0;
  dnnl::memory::desc layout;  ///< of one matrix
  int64_t stride = 0;         ///< bytes from one matrix to the next
  bool for_few_rows = false;  ///< whether few_rows.h can read it
  HugePages weights;

  [[nodiscard]] std::byte* matrix(int64_t index) const { return weights.get() + index * stride; }
  void multiply_by_onednn(const Operand& x, int64_t rows, const Operand& out, DType out_type) const;
};

PackedMatrix::PackedMatrix() = default;
PackedMatrix::PackedMatrix(PackedMatrix&&) noexcept = default;
PackedMatrix& PackedMatrix::operator=(PackedMatrix&&) noexcept = default;
PackedMatrix::~PackedMatrix() = default;

PackedMatrix::PackedMatrix(std::shared_ptr<Products> products, int64_t batch, int64_t inner, int64_t outer,
                           const Source& source, std::span<const float> values)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  const Precision precision = products->precision();
  state.batch = batch;
  state.inner = inner;
  state.outer = outer;
  state.for_few_rows = precision == Precision::bfloat16 && most_few_rows() > 0;
  const Type type = type_of(dtype_of(precision));
  using dnnl::memory;
  if (state.for_few_rows) {
    state.layout = memory::desc({inner, outer}, type, memory::format_tag::BA16a64b2a);
  } else {
    const memory::desc any({inner, outer}, type, memory::format_tag::any);
    const memory::desc x({kPackedForRows, inner}, type, memory::format_tag::ab);
    const memory::desc out({kPackedForRows, outer}, Type::f32, memory::format_tag::ab);
    state.layout = dnnl::matmul::primitive_desc({x, any, out}, products->engine()).weights_desc();
  }
  state.stride = static_cast<int64_t>(state.layout.get_size());
  state.weights = allocate_huge_pages(static_cast<size_t>(batch * state.stride));
  if (state.weights == nullptr) throw std::bad_alloc();
  const memory::desc stored({inner, outer}, Type::f32, memory::dims{source.inner_stride, source.outer_stride});
  for (int64_t i = 0; i < batch; ++i) {
    memory from(stored, products->engine(), const_cast<float*>(values.data()) + i * source.batch_stride);
    memory to(state.layout, products->engine(), state.matrix(i));
    dnnl::reorder(from, to).execute(products->stream(), from, to);
  }
  products->stream().wait();
  state.products = std::move(products);
}

void PackedMatrix::State::multiply_by_onednn(const Operand& x, int64_t rows, const Operand& out, DType out_type) const {
  using dnnl::memory;
  const DType x_type = dtype_of(products->precision());
  const memory::desc x_desc({rows, inner}, type_of(x_type), memory::dims{x.strides.row_stride, 1});
  const memory::desc out_desc({rows, outer}, type_of(out_type), memory::dims{out.strides.row_stride, 1});
  const Products::Key key{inner, outer, rows, x.strides.row_stride, out.strides.row_stride, out_type};
  const dnnl::matmul& kernel = products->kernel(key, x_desc, layout, out_desc);
  for (int64_t i = 0; i < batch; ++i) {
    const memory from(x_desc, products->engine(), x.data + i * x.strides.batch_stride * size_of(x_type));
    const memory by(layout, products->engine(), matrix(i));
    const memory to(out_desc, products->engine(), out.data + i * out.strides.batch_stride * size_of(out_type));
    kernel.execute(products->stream(), {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, by}, {DNNL_ARG_DST, to}});
  }
  products->stream().wait();
}

void PackedMatrix::multiply(const void* x, const Rows& x_rows, int64_t rows, void* out, const Rows& out_rows,
                            DType out_type) const {
  if (rows == 0) return;
  const State& state = *state_;
  if (!state.for_few_rows || rows > most_few_rows()) {
    auto* from = static_cast<std::byte*>(const_cast<void*>(x));
    state.multiply_by_onednn({from, x_rows}, rows, {static_cast<std::byte*>(out), out_rows}, out_type);
    return;
  }
  FewRowsProduct product;
  product.batch = state.batch;
  product.rows = rows;
  product.inner = state.inner;
  product.outer = state.outer;
  product.weights = reinterpret_cast<const uint16_t*>(state.matrix(0));
  product.x = static_cast<const uint16_t*>(x);
  product.x_batch_stride = x_rows.batch_stride;
  product.x_row_stride = x_rows.row_stride;
  product.out = out;
  product.out_batch_stride = out_rows.batch_stride;
  product.out_row_stride = out_rows.row_stride;
  product.out_is_bfloat16 = out_type == DType::bfloat16;
  multiply_few_rows(product);
}

int64_t PackedMatrix::inner() const {
  return state_->inner;
}
int64_t PackedMatrix::outer() const {
  return state_->outer;
}
int64_t PackedMatrix::bytes() const {
  return state_->batch * state_->stride;
}
Precision PackedMatrix::precision() const {
  return state_->products->precision();
}

}  // namespace flash_mla::runtime
