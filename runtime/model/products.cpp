#include "model/products.h"

#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <vector>

namespace flash_mla::runtime {
namespace {

using Type = dnnl::memory::data_type;

Type type_of(DType dtype) {
  return dtype == DType::float32 ? Type::f32 : Type::bf16;
}

// The number of rows that weights are packed for. oneDNN's layouts for 1 and for 512 rows differ little in speed.
constexpr int64_t kPackedForRows = 16;
constexpr size_t kMostKernels = 4096;

}  // namespace

class Products {
 public:
  explicit Products(Precision precision) : precision_(precision) {}

  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, DType>;
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
  dnnl::memory weights;
};

PackedMatrix::PackedMatrix() = default;
PackedMatrix::PackedMatrix(PackedMatrix&&) noexcept = default;
PackedMatrix& PackedMatrix::operator=(PackedMatrix&&) noexcept = default;
PackedMatrix::~PackedMatrix() = default;

PackedMatrix::PackedMatrix(std::shared_ptr<Products> products, int64_t batch, int64_t inner, int64_t outer,
                           const Source& source, std::span<const float> values)
    : state_(std::make_unique<State>()) {
  const Type type = type_of(dtype_of(products->precision()));
  using dnnl::memory;
  const memory::desc any({batch, inner, outer}, type, memory::format_tag::any);
  const memory::desc x({batch, kPackedForRows, inner}, type, memory::format_tag::abc);
  const memory::desc out({batch, kPackedForRows, outer}, Type::f32, memory::format_tag::abc);
  const dnnl::matmul::primitive_desc best({x, any, out}, products->engine());
  state_->weights = memory(best.weights_desc(), products->engine());

  const memory::desc stored({batch, inner, outer}, Type::f32,
                            memory::dims{source.batch_stride, source.inner_stride, source.outer_stride});
  memory from(stored, products->engine(), const_cast<float*>(values.data()));
  dnnl::reorder(from, state_->weights).execute(products->stream(), from, state_->weights);
  products->stream().wait();
  state_->batch = batch;
  state_->inner = inner;
  state_->outer = outer;
  state_->products = std::move(products);
}

void PackedMatrix::multiply(const void* x, const Rows& x_rows, int64_t rows, void* out, const Rows& out_rows,
                            DType out_type) const {
  if (rows == 0) return;
  Products& products = *state_->products;
  using dnnl::memory;
  const memory::desc x_desc({state_->batch, rows, state_->inner}, type_of(dtype_of(products.precision())),
                            memory::dims{x_rows.batch_stride, x_rows.row_stride, 1});
  const memory::desc out_desc({state_->batch, rows, state_->outer}, type_of(out_type),
                              memory::dims{out_rows.batch_stride, out_rows.row_stride, 1});
  const Products::Key key{state_->batch,     state_->inner,         state_->outer,       rows,    x_rows.batch_stride,
                          x_rows.row_stride, out_rows.batch_stride, out_rows.row_stride, out_type};
  const dnnl::matmul& kernel = products.kernel(key, x_desc, state_->weights.get_desc(), out_desc);
  const memory from(x_desc, products.engine(), const_cast<void*>(x));
  const memory to(out_desc, products.engine(), out);
  kernel.execute(products.stream(), {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, state_->weights}, {DNNL_ARG_DST, to}});
  products.stream().wait();
}

int64_t PackedMatrix::inner() const {
  return state_->inner;
}
int64_t PackedMatrix::outer() const {
  return state_->outer;
}
int64_t PackedMatrix::bytes() const {
  return static_cast<int64_t>(state_->weights.get_desc().get_size());
}
Precision PackedMatrix::precision() const {
  return state_->products->precision();
}

}  // namespace flash_mla::runtime
