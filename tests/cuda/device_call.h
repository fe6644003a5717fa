// A scene's call on the device: arrays copied there, outputs copied back.
#pragma once

#include <vector>

#include "flash_mla/cuda.h"
#include "support/run.h"

namespace flash_mla::test {

/// Bytes from a view's first element to its last, on the device.
class Placed {
 public:
  explicit Placed(const ConstTensor& view);
  [[nodiscard]] void* data() const { return memory_.data(); }
  void copy_back(void* to) const;
  /// Other elements of the same layout.
  void refill(const ConstTensor& view);
  void fill(int byte);

 private:
  CudaMemory memory_;
};

/// Arguments whose arrays lie on the device, as long as this lives.
class DeviceCall {
 public:
  enum class Where { device_0, current_context };  ///< device 0 becomes the current one
  explicit DeviceCall(const Scene& scene, Where where = Where::device_0);

  /// For plans of `sm90`.
  [[nodiscard]] PlanSpec spec(const RunOptions& options = {}) const;
  /// Uploads the plan to a workspace of its size, decodes, waits.
  Status run(const Plan& plan, Output& output);
  /// Copies a scene of the same shapes over this one's arrays.
  void refill(const Scene& scene);

  DecodeArgs args;  ///< without outputs and workspace

 private:
  const Scene& scene_;
  std::vector<Placed> arrays_;
};

}  // namespace flash_mla::test
