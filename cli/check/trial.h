// One case on one backend: its queries, outputs and workspace, the call, and the judgement.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "check/array.h"
#include "check/case.h"
#include "check/compare.h"
#include "check/data_set.h"

namespace flash_mla::cli {

/// What is on trial: it may plan and decode as it likes. `args` has no workspace yet.
using Decoder = std::function<Status(const PlanSpec& spec, const DecodeArgs& args)>;

/// The library: Plan::make() and decode(), with a workspace of the plan's size.
Decoder library_decoder();

/// Whether it names a backend whose arrays lie in a CUDA device's memory.
bool is_on_cuda(std::string_view backend);

class Trial {
 public:
  /// `reference` is the family's, for this case's mask. A refused call is a miss.
  Errors run(const DataSet& data, const Case& one, const ReferenceResult& reference, std::string_view backend,
             int threads, const Decoder& decode);

 private:
  void make_arrays(const DataSet& data, const Case& one);
  Errors judge(const DataSet& data, const Case& one, const ReferenceResult& reference, bool on_cuda) const;

  Array q_;
  Array out_;
  Array lse_;
};

}  // namespace flash_mla::cli
