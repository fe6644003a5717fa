#include "check/runner.h"

#include <algorithm>
#include <optional>

#include "check/data_set.h"
#include "check/fast_reference.h"

namespace flash_mla::cli {
namespace {

bool selected(const CheckPlan& plan, const std::string& backend, const DataSpec& data, const Case& one) {
  return !plan.selects || plan.selects(backend, data, one);
}

Tally& tally_for(CheckResults& results, const std::string& group, const std::string& backend) {
  const auto found = std::find_if(results.tallies.begin(), results.tallies.end(),
                                  [&](const Tally& tally) { return tally.group == group && tally.backend == backend; });
  if (found != results.tallies.end()) return *found;
  return results.tallies.emplace_back(Tally{group, backend, 0, 0, {}});
}

/// The reference of a family, computed once for each of its masks.
class References {
 public:
  explicit References(const DataSet& data) : data_(data) {}
  const ReferenceResult& get(bool causal) {
    auto& result = results_[causal ? 1 : 0];
    if (!result) {
      Mask mask = data_.spec().mask;
      mask.causal = causal;
      result = fast_reference(data_.args(), mask, data_.spec().shape.d_v);
    }
    return *result;
  }

 private:
  const DataSet& data_;
  std::optional<ReferenceResult> results_[2];
};

double work_of(const CheckPlan& plan) {
  double work = 0;
  for (const Family& family : plan.families) {
    for (const Case& one : family.cases) {
      for (const std::string& backend : plan.backends) {
        if (selected(plan, backend, family.data, one)) work += flop_of(family.data, one);
      }
    }
  }
  return std::max(work, 1.0);
}

}  // namespace

int64_t CheckResults::cases() const {
  int64_t sum = 0;
  for (const Tally& tally : tallies) sum += tally.cases;
  return sum;
}

int64_t CheckResults::failed() const {
  int64_t sum = 0;
  for (const Tally& tally : tallies) sum += tally.failed;
  return sum;
}

Errors CheckResults::worst() const {
  Errors worst;
  for (const Tally& tally : tallies) worst.merge(tally.worst);
  return worst;
}

CheckResults run_check(const CheckPlan& plan, const Decoder& decode) {
  CheckResults results;
  DataSet data;
  Trial trial;
  const double all_work = work_of(plan);
  double done = 0;
  for (const Family& family : plan.families) {
    bool built = false;
    References references(data);
    for (const std::string& backend : plan.backends) {
      for (const Case& one : family.cases) {
        if (!selected(plan, backend, family.data, one)) continue;
        if (plan.keep_going && !plan.keep_going(done / all_work)) {
          results.complete = false;
          return results;
        }
        if (!built) data.build(family.data);
        built = true;
        const Errors errors = trial.run(data, one, references.get(one.causal), backend, plan.threads, decode);
        Tally& tally = tally_for(results, family.data.group, backend);
        ++tally.cases;
        tally.worst.merge(errors);
        if (errors.missed_rows > 0) {
          ++tally.failed;
          results.failures.push_back({backend, describe(family.data, one), errors.first_miss});
        }
        done += flop_of(family.data, one);
        if (plan.stop_at_failure && errors.missed_rows > 0) {
          results.complete = false;
          return results;
        }
      }
    }
  }
  return results;
}

}  // namespace flash_mla::cli
