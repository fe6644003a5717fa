// Plans as Python objects.
#pragma once

#include <nanobind/nanobind.h>

#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "flash_mla/cuda.h"
#include "flash_mla/plan.h"
#include "place.h"

namespace flash_mla::python {

/// What a plan is made from, apart from its lengths.
struct PlanOptions {
  DecodeShape shape;
  Mask mask;
  PlanMode mode = PlanMode::standard;
  int num_workers = 0;
  std::string backend;
};

/// A plan that remembers its options. Calls that use it hold `mutex` shared, remake() holds it alone: Python threads
/// may do both at once.
class PythonPlan {
 public:
  PythonPlan(PlanOptions options, nanobind::handle seqlens, nanobind::handle cu_seqlens_q, nanobind::handle stream);
  PythonPlan(const PythonPlan&) = delete;
  PythonPlan& operator=(const PythonPlan&) = delete;
  ~PythonPlan();

  void remake(nanobind::handle seqlens, nanobind::handle cu_seqlens_q, nanobind::handle stream);

  [[nodiscard]] const Plan& plan() const { return *plan_; }
  [[nodiscard]] const PlanOptions& options() const { return options_; }
  [[nodiscard]] const std::vector<int32_t>& lengths() const { return lengths_; }
  /// kCpu, or the CUDA device that it was made on.
  [[nodiscard]] int device() const { return device_; }
  mutable std::shared_mutex mutex;

  /// A CUDA plan's own workspace, by stream, as calls of a stream run one after the other; uploaded there. Held by one
  /// call at a time until it has launched what it launches.
  struct Workspace {
    std::unique_lock<std::mutex> lock;
    void* memory = nullptr;
    size_t size = 0;
    Status status;
  };
  [[nodiscard]] Workspace workspace(void* stream) const;

 private:
  struct Uploaded {
    CudaMemory memory;
    int64_t version = 0;
  };

  void choose_device();

  PlanOptions options_;
  std::optional<Plan> plan_;
  std::vector<int32_t> lengths_;
  int device_ = kCpu;
  int64_t version_ = 0;  ///< of the plan; counted from 1
  mutable std::mutex workspaces_mutex_;
  mutable std::map<void*, Uploaded> workspaces_;
};

void define_plan(nanobind::module_& module);

}  // namespace flash_mla::python
