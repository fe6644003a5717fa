// Runs families of cases on backends and keeps the worst of each group.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "check/case.h"
#include "check/compare.h"
#include "check/trial.h"

namespace flash_mla::cli {

struct Tally {
  std::string group;
  std::string backend;
  int64_t cases = 0;
  int64_t failed = 0;
  Errors worst;
};

struct Failure {
  std::string backend;
  std::string what;  ///< the case
  std::string why;
};

struct CheckResults {
  std::vector<Tally> tallies;  ///< by group, then by backend, in the order they ran
  std::vector<Failure> failures;
  bool complete = true;  ///< false: stopped early

  [[nodiscard]] int64_t cases() const;
  [[nodiscard]] int64_t failed() const;
  [[nodiscard]] Errors worst() const;
};

struct CheckPlan {
  std::vector<Family> families;
  std::vector<std::string> backends;
  int threads = 0;               ///< 0: default_num_workers()
  bool stop_at_failure = false;  ///< what comes after the first miss is not run
  /// Null: all cases. Otherwise whether a backend runs a case.
  std::function<bool(const std::string& backend, const DataSpec& data, const Case& one)> selects;
  /// Asked before each case with the share of the work done; false stops the run.
  std::function<bool(double done)> keep_going;
};

/// Every case of every family on every backend that it is for; a family's data and reference serve all of them.
CheckResults run_check(const CheckPlan& plan, const Decoder& decode);

}  // namespace flash_mla::cli
