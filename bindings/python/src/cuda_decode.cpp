#include "cuda_decode.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "flash_mla/cuda.h"

namespace flash_mla::python {

namespace {

/// Writes +inf to elements of lse, as few and large writes as its layout allows.
class PlusInf {
 public:
  PlusInf(const Tensor& lse, void* stream) : lse_(lse), stream_(stream) {}

  Status add(int64_t sequence, int64_t head, int64_t query) {
    const int64_t at = sequence * lse_.strides[0] + head * lse_.strides[1] + query * lse_.strides[2];
    if (at == begin_ + count_) {
      ++count_;
      return {};
    }
    Status status = flush();
    begin_ = at;
    count_ = 1;
    return status;
  }

  Status flush() {
    static const std::vector<float> values(4096, std::numeric_limits<float>::infinity());
    Status status;
    while (status.ok() && count_ > 0) {
      const int64_t piece = std::min<int64_t>(count_, static_cast<int64_t>(values.size()));
      status = cuda_write(static_cast<float*>(lse_.data) + begin_, values.data(),
                          static_cast<size_t>(piece) * sizeof(float), stream_);
      begin_ += piece;
      count_ -= piece;
    }
    return status;
  }

 private:
  Tensor lse_;
  void* stream_;
  int64_t begin_ = -1, count_ = 0;
};

/// lse is [b, h_q, s_q]: FlashMLA's surface has no ragged queries and no windows.
Status mark_empty_rows(const PythonPlan& plan, const Tensor& lse, void* stream) {
  PlusInf marks(lse, stream);
  const bool heads_inside = lse.strides[1] < lse.strides[2];  // FlashMLA's own layout where h_kv = 1
  const int64_t h_q = lse.shape[1], s_q = lse.shape[2];
  for (int64_t i = 0; i < lse.shape[0]; ++i) {
    const int64_t length = plan.lengths()[static_cast<size_t>(i)];
    int64_t empty = plan.options().mask.causal ? std::max<int64_t>(0, s_q - length) : 0;
    if (length == 0) empty = s_q;
    for (int64_t j = 0; j < empty * h_q; ++j) {
      const int64_t head = heads_inside ? j % h_q : j / empty, query = heads_inside ? j / h_q : j % empty;
      if (Status status = marks.add(i, head, query); !status.ok()) return status;
    }
  }
  return marks.flush();
}

}  // namespace

Status decode_on_cuda(const PythonPlan& plan, DecodeArgs args, bool empty_is_plus_inf) {
  PythonPlan::Workspace own;
  if (args.workspace == nullptr) {
    own = plan.workspace(args.stream);
    if (!own.status.ok()) return own.status;
    args.workspace = own.memory;
    args.workspace_size = own.size;
  } else if (Status status = plan.plan().upload(args.workspace, args.workspace_size, args.stream); !status.ok()) {
    return status;
  }
  if (Status status = decode(plan.plan(), args); !status.ok()) return status;
  return empty_is_plus_inf && !args.lse.absent() ? mark_empty_rows(plan, args.lse, args.stream) : Status();
}

}  // namespace flash_mla::python
