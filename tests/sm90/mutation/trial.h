// What a mutated kernel has to get through: scenes that use all of it, under a few seeds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device.h"

namespace flash_mla::test {

class Trial {
 public:
  /// For a decode kernel, or for a merge kernel with the decode kernel that it merges the results of.
  explicit Trial(const std::string& kernel);
  ~Trial();
  Trial(Trial&&) noexcept;
  Trial& operator=(Trial&&) = delete;

  /// What gave the kernel away ("race", "deadlock", "wrong numbers", ...), empty if nothing did.
  [[nodiscard]] std::string verdict(Kernels& kernels, uint64_t seeds) const;

 private:
  struct Run;
  std::vector<Run> runs_;
};

}  // namespace flash_mla::test
