// decode, reference_decode, merge and append as Python functions. Arguments are positional: the package's Python side
// gives them names and defaults.
#include "attention.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "array.h"
#include "cuda_decode.h"
#include "flash_mla/append.h"
#include "flash_mla/decode.h"
#include "flash_mla/merge.h"
#include "fork.h"
#include "place.h"
#include "plan.h"
#include "raise.h"

namespace flash_mla::python {

namespace {

constexpr const char* kQ = "[b, s_q, h_q, d] or [total_q, h_q, d]";
constexpr const char* kKCache = "[num_pages, page_size, h_kv, d]";
constexpr const char* kVCache = "[num_pages, page_size, h_kv, d_v]";
constexpr const char* kPageTable = "[b, max_pages] int32";
constexpr const char* kSeqlens = "[b] int32";
constexpr const char* kCuSeqlensQ = "[b + 1] int32";
constexpr const char* kOut = "[b, s_q, h_q, d_v] or [total_q, h_q, d_v]";
constexpr const char* kLse = "[b, h_q, s_q] or [h_q, total_q] float32";

/// This thread's own workspace, for calls that bring none. It grows and stays.
void* own_workspace(size_t size) {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  static thread_local std::unique_ptr<void, Free> memory;
  static thread_local size_t capacity = 0;
  if (size > capacity) {
    memory.reset();
    capacity = 0;
    const size_t rounded = (size + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
    memory.reset(std::aligned_alloc(kWorkspaceAlignment, rounded));
    if (memory == nullptr) raise(PyExc_MemoryError, "no memory for a workspace of %zu bytes", size);
    capacity = rounded;
  }
  return memory.get();
}

/// FlashMLA's mark of a row that saw no key.
void mark_empty_rows(const Tensor& lse) {
  const int axes = lse.rank;
  const int64_t n0 = axes == 3 ? lse.shape[0] : 1, s0 = axes == 3 ? lse.strides[0] : 0;
  for (int64_t i = 0; i < n0; ++i) {
    for (int64_t j = 0; j < lse.shape[axes - 2]; ++j) {
      for (int64_t k = 0; k < lse.shape[axes - 1]; ++k) {
        float& value = static_cast<float*>(lse.data)[i * s0 + j * lse.strides[axes - 2] + k * lse.strides[axes - 1]];
        if (value == -std::numeric_limits<float>::infinity()) value = std::numeric_limits<float>::infinity();
      }
    }
  }
}

std::optional<double> scale_of(nb::handle scale) {
  if (scale.is_none()) return std::nullopt;
  return float_of(scale, "scale");
}

/// What decode() and its specification read.
class Inputs {
 public:
  Inputs(const Place& place, nb::handle q, nb::handle k_cache, nb::handle page_table, nb::handle seqlens,
         nb::handle v_cache, nb::handle cu_seqlens_q)
      : q_(q, "q", kQ, place),
        k_cache_(k_cache, "k_cache", kKCache, place),
        v_cache_(v_cache, "v_cache", kVCache, place),
        page_table_(page_table, "page_table", kPageTable, place),
        seqlens_(seqlens, "seqlens", kSeqlens, place),
        cu_seqlens_q_(cu_seqlens_q, "cu_seqlens_q", kCuSeqlensQ, place) {}

  /// Valid while this lives.
  [[nodiscard]] DecodeArgs args() const {
    DecodeArgs args;
    args.q = q_.tensor();
    args.k_cache = k_cache_.tensor();
    args.v_cache = v_cache_.tensor();
    args.page_table = page_table_.tensor();
    args.seqlens = seqlens_.tensor();
    args.cu_seqlens_q = cu_seqlens_q_.tensor();
    return args;
  }

 private:
  Array q_, k_cache_, v_cache_, page_table_, seqlens_, cu_seqlens_q_;
};

/// Where the arrays of a plan's calls have to lie. Makes a CUDA plan's device current.
Place place_of(const PythonPlan& plan, nb::handle stream, nb::handle q) {
  Place place{.device = plan.device()};
  place.error = PyExc_ValueError;
  place.because = "the plan is for a backend that computes there (plan.backend)";
  if (plan.device() != kCpu) {
    place.stream = stream_of(stream, q);
    make_current(plan.device(), "the plan");
  } else if (!stream.is_none()) {
    raise(PyExc_ValueError, "stream is given beside a plan for the CPU; expected None");
  }
  return place;
}

void decode_into(const PythonPlan& plan, nb::handle q, nb::handle k_cache, nb::handle page_table, nb::handle seqlens,
                 nb::handle v_cache, nb::handle cu_seqlens_q, nb::handle out, nb::handle lse, nb::handle scale,
                 nb::handle workspace, bool empty_is_plus_inf, nb::handle stream) {
  const Place place = place_of(plan, stream, q);
  const Inputs inputs(place, q, k_cache, page_table, seqlens, v_cache, cu_seqlens_q);
  const Array out_array(out, "out", kOut, place, Access::write), lse_array(lse, "lse", kLse, place, Access::write);
  DecodeArgs args = inputs.args();
  args.stream = place.stream;
  args.out = out_array.tensor();
  args.lse = lse_array.tensor();
  args.scale = scale_of(scale);
  args.executor = executor_after_fork();
  std::optional<Array> workspace_array;
  if (!workspace.is_none()) {
    workspace_array.emplace(Array::of_bytes(workspace, "workspace", place));
    args.workspace = workspace_array->data();
    args.workspace_size = static_cast<size_t>(workspace_array->bytes());
  }

  Status status;
  {
    std::shared_lock lock(plan.mutex, std::try_to_lock);
    if (!lock.owns_lock()) {
      nb::gil_scoped_release release;  // whoever plans anew may need the GIL to finish
      lock.lock();
    }
    if (workspace.is_none() && plan.device() == kCpu) {
      args.workspace_size = plan.plan().workspace_size();
      args.workspace = own_workspace(args.workspace_size);
    }
    nb::gil_scoped_release release;
    status = plan.device() == kCpu ? decode(plan.plan(), args) : decode_on_cuda(plan, args, empty_is_plus_inf);
    if (status.ok() && plan.device() == kCpu && empty_is_plus_inf && !args.lse.absent()) mark_empty_rows(args.lse);
    lock.unlock();
  }
  raise_if_error(status);
}

nb::object bytes_of(const std::vector<double>& values) {
  return nb::steal(PyByteArray_FromStringAndSize(reinterpret_cast<const char*>(values.data()),
                                                 static_cast<Py_ssize_t>(values.size() * sizeof(double))));
}

nb::tuple reference(nb::handle q, nb::handle k_cache, nb::handle page_table, nb::handle seqlens, nb::handle v_cache,
                    nb::handle cu_seqlens_q, nb::handle d_v, nb::handle causal, nb::handle window, nb::handle sinks,
                    nb::handle scale) {
  const Inputs inputs({}, q, k_cache, page_table, seqlens, v_cache, cu_seqlens_q);
  DecodeArgs args = inputs.args();
  args.scale = scale_of(scale);
  const Mask mask = {bool_of(causal, "causal"), int_of(window, "window"), int_of(sinks, "sinks")};
  const int64_t width = int_of(d_v, "d_v");
  std::optional<Result<ReferenceResult>> result;
  {
    nb::gil_scoped_release release;
    result.emplace(reference_decode(args, mask, width));
  }
  raise_if_error(result->status());
  return nb::make_tuple(bytes_of(result->value().out), bytes_of(result->value().lse));
}

void merge_into(nb::sequence parts, nb::handle out, nb::handle lse) {
  std::vector<Array> arrays;
  std::vector<PartialResult> views;
  for (nb::handle part : parts) {
    const std::string name = "parts[" + std::to_string(views.size()) + "]";
    nb::tuple pair;
    if (!nb::try_cast(part, pair) || nb::len(pair) != 2) {
      raise(PyExc_TypeError, "%s is a %s; expected a pair (out, lse)", name.c_str(), kind_of(part));
    }
    arrays.emplace_back(pair[0], (name + ".out").c_str(), kOut);
    arrays.emplace_back(pair[1], (name + ".lse").c_str(), kLse);
    views.push_back({(arrays.end() - 2)->tensor(), (arrays.end() - 1)->tensor()});
  }
  const Array out_array(out, "out", kOut, {}, Access::write), lse_array(lse, "lse", kLse, {}, Access::write);
  Status status;
  {
    nb::gil_scoped_release release;
    status = merge(views, out_array.tensor(), lse_array.tensor());
  }
  raise_if_error(status);
}

void append_rows(nb::handle k_cache, nb::handle slot_mapping, nb::handle rows, nb::handle rope, nb::handle v_cache,
                 nb::handle v_rows) {
  const Array k_array(k_cache, "k_cache", kKCache, {}, Access::write),
      v_array(v_cache, "v_cache", kVCache, {}, Access::write),
      slots_array(slot_mapping, "slot_mapping", "[tokens] int64"), rows_array(rows, "rows", "[tokens, h_kv, d]"),
      rope_array(rope, "rope", "[tokens, h_kv, d_rope]"), v_rows_array(v_rows, "v_rows", "[tokens, h_kv, d_v]");
  AppendArgs args;
  args.rows = rows_array.tensor();
  args.rope = rope_array.tensor();
  args.v_rows = v_rows_array.tensor();
  args.slot_mapping = slots_array.tensor();
  args.k_cache = k_array.tensor();
  args.v_cache = v_array.tensor();
  Status status;
  {
    nb::gil_scoped_release release;
    status = append(args);
  }
  raise_if_error(status);
}

}  // namespace

void define_attention(nb::module_& module) {
  module.def("decode", &decode_into, nb::arg("plan"), nb::arg("q").none(), nb::arg("k_cache").none(),
             nb::arg("page_table").none(), nb::arg("seqlens").none(), nb::arg("v_cache").none(),
             nb::arg("cu_seqlens_q").none(), nb::arg("out").none(), nb::arg("lse").none(), nb::arg("scale").none(),
             nb::arg("workspace").none(), nb::arg("empty_is_plus_inf"), nb::arg("stream") = nb::none());
  module.def("reference", &reference, nb::arg("q").none(), nb::arg("k_cache").none(), nb::arg("page_table").none(),
             nb::arg("seqlens").none(), nb::arg("v_cache").none(), nb::arg("cu_seqlens_q").none(), nb::arg("d_v"),
             nb::arg("causal"), nb::arg("window"), nb::arg("sinks"), nb::arg("scale").none());
  module.def("merge", &merge_into, nb::arg("parts"), nb::arg("out").none(), nb::arg("lse").none());
  module.def("append", &append_rows, nb::arg("k_cache").none(), nb::arg("slot_mapping").none(), nb::arg("rows").none(),
             nb::arg("rope").none(), nb::arg("v_cache").none(), nb::arg("v_rows").none());
}

}  // namespace flash_mla::python
