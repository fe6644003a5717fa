// What a mutated kernel has to get through: scenes that use all of it, under a few seeds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device.h"

namespace flash_mla::test {

class Trial {
 public:
  /// Whether there are scenes for such a kernel.
  static bool knows(const std::string& kernel);
  /// For a decode kernel, or for a merge kernel with the decode kernel that it merges the results of.
  explicit Trial(const std::string& kernel);
  ~Trial();
  Trial(Trial&&) noexcept;
  Trial& operator=(Trial&&) = delete;

  /// How often scenes run each instruction of the kernel as it is shipped.
  [[nodiscard]] const std::vector<uint64_t>& executions() const { return executions_; }
  /// What gave the kernel away ("race", "deadlock", "wrong numbers", ...), empty if nothing did.
  [[nodiscard]] std::string verdict(Kernels& kernels, uint64_t seeds) const;

 private:
  struct Run;
  std::vector<Run> runs_;
  std::vector<uint64_t> executions_;
};

}  // namespace flash_mla::test
