#include "check/cuda_decoder.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "flash_mla/cuda.h"

namespace flash_mla::cli {
namespace {

constexpr size_t kAlignment = 256;

/// The bytes between a view's first element and its last, on the device. Its address is as far from a multiple of 256
/// as the view's, so that what a kernel may assume of it is the same.
class Mirror {
 public:
  Status place(const ConstTensor& view) {
    bytes_ = 0;
    if (view.absent() || view.data == nullptr) return {};
    int64_t last = 0;
    for (int axis = 0; axis < view.rank; ++axis) {
      if (view.shape[axis] == 0) return {};
      last += (view.shape[axis] - 1) * view.strides[axis];
    }
    offset_ = reinterpret_cast<uintptr_t>(view.data) % kAlignment;
    bytes_ = static_cast<size_t>(last + 1) * size_of(view.dtype);
    if (memory_.size() < offset_ + bytes_) {
      Result<CudaMemory> memory = CudaMemory::allocate(offset_ + bytes_);
      if (!memory.ok()) return memory.status();
      memory_ = std::move(memory).value();
    }
    return memory_.write(view.data, offset_, bytes_);
  }

  template <class View>
  [[nodiscard]] View at_device(View view) const {
    if (bytes_ > 0) view.data = static_cast<char*>(memory_.data()) + offset_;
    return view;
  }

  Status copy_back(const Tensor& view) const { return memory_.read(view.data, offset_, bytes_); }

 private:
  CudaMemory memory_;
  size_t offset_ = 0;
  size_t bytes_ = 0;
};

class DeviceCall {
 public:
  Status run(const PlanSpec& given, const DecodeArgs& args) {
    if (!ready_) {
      if (Status status = cuda_use_device(0); !status.ok()) return status;
      ready_ = true;
    }
    PlanSpec spec = given;
    if (args.executor == nullptr) spec.num_workers = 0;  // threads mean nothing here: the device's SMs
    const Result<Plan> plan = Plan::make(spec);
    if (!plan.ok()) return plan.status();

    DecodeArgs there = args;
    const std::pair<Mirror&, ConstTensor*> inputs[] = {{q_, &there.q},
                                                       {k_cache_, &there.k_cache},
                                                       {v_cache_, &there.v_cache},
                                                       {page_table_, &there.page_table},
                                                       {seqlens_, &there.seqlens},
                                                       {cu_seqlens_q_, &there.cu_seqlens_q}};
    for (const auto& [mirror, view] : inputs) {
      if (Status status = mirror.place(*view); !status.ok()) return status;
      *view = mirror.at_device(*view);
    }
    const std::pair<Mirror&, Tensor*> outputs[] = {{out_, &there.out}, {lse_, &there.lse}};
    for (const auto& [mirror, view] : outputs) {
      if (Status status = mirror.place(*view); !status.ok()) return status;
      *view = mirror.at_device(*view);
    }
    if (Status status = place_workspace(plan.value().workspace_size()); !status.ok()) return status;
    there.workspace = workspace_.data();
    there.workspace_size = plan.value().workspace_size();

    if (Status status = plan.value().upload(there.workspace, there.workspace_size, nullptr); !status.ok())
      return status;
    if (Status status = decode(plan.value(), there); !status.ok()) return status;
    if (Status status = cuda_synchronize(nullptr); !status.ok()) return status;
    if (Status status = out_.copy_back(args.out); !status.ok()) return status;
    return args.lse.absent() ? Status() : lse_.copy_back(args.lse);
  }

 private:
  Status place_workspace(size_t bytes) {
    if (bytes <= workspace_.size()) return {};
    Result<CudaMemory> memory = CudaMemory::allocate(bytes);
    if (!memory.ok()) return memory.status();
    workspace_ = std::move(memory).value();
    return {};
  }

  bool ready_ = false;
  Mirror q_, k_cache_, v_cache_, page_table_, seqlens_, cu_seqlens_q_, out_, lse_;
  CudaMemory workspace_;
};

}  // namespace

Decoder cuda_decoder() {
  return [call = std::make_shared<DeviceCall>()](const PlanSpec& spec, const DecodeArgs& args) {
    return call->run(spec, args);
  };
}

bool is_for_sm90(const DataSpec& data) {
  const DecodeShape& shape = data.shape;
  const std::pair<int64_t, int64_t> widths[] = {{576, 512}, {512, 512}, {320, 256}, {288, 256}};
  return shape.dtype != DType::float32 && !shape.separate_v &&
         std::ranges::find(widths, std::pair{shape.d, shape.d_v}) != std::end(widths);
}

}  // namespace flash_mla::cli
