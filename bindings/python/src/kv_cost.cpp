#include "kv_cost.h"

#include <nanobind/stl/string.h>

#include <string>

#include "kv_cost/config.h"
#include "kv_cost/report.h"
#include "raise.h"

namespace flash_mla::python {

namespace {

/// The messages of options, in the words of arguments.
Status without_dashes(const Status& status) {
  std::string message = status.message();
  for (size_t at = message.find("--"); at != std::string::npos; at = message.find("--", at)) message.erase(at, 2);
  return {status.code(), message};
}

template <class T>
T take(Result<T> result) {
  if (result.status().code() == StatusCode::io_error) {
    raise(PyExc_OSError, "%s", result.status().message().c_str());
  }
  raise_if_error(without_dashes(result.status()));
  return std::move(result).value();
}

int64_t ranged(nb::handle object, const char* name, int64_t least, int64_t most) {
  const int64_t value = int_of(object, name);
  if (value < least || value > most) {
    raise(PyExc_ValueError, "%s = %lld; expected %lld to %lld", name, static_cast<long long>(value),
          static_cast<long long>(least), static_cast<long long>(most));
  }
  return value;
}

/// `kind`: what `model` is: "name", "file", or "text" of a config that `name` is called.
cli::ModelCache find_model(const std::string& kind, const std::string& model, const std::string& name) {
  if (kind == "name") return take(cli::find_known_model(model));
  if (kind == "file") return take(cli::read_config(model));
  return take(cli::parse_config(model, "model", name));
}

std::string kv_cost(const std::string& kind, const std::string& model, const std::string& name, nb::handle batch,
                    nb::handle length, nb::handle page_size, nb::handle bits, nb::handle scale_group,
                    nb::handle scale_bytes, nb::handle quantise_rope, nb::handle budget) {
  cli::Question question;
  question.load.batch = ranged(batch, "batch", 1, cli::kLargestBatch);
  question.load.length = ranged(length, "length", 1, cli::kLongestLength);
  question.load.page_size = ranged(page_size, "page_size", 1, cli::kLargestPage);
  question.precision.bits = int_of(bits, "bits");
  if (const int64_t given = question.precision.bits; given != 4 && given != 8 && given != 16) {
    raise(PyExc_ValueError, "bits = %lld; expected 16, 8 or 4", static_cast<long long>(given));
  }
  question.precision.scale_group = ranged(scale_group, "scale_group", 0, cli::kLargestScaleGroup);
  question.precision.scale_bytes = ranged(scale_bytes, "scale_bytes", 1, cli::kLargestScale);
  question.precision.quantise_rope = bool_of(quantise_rope, "quantise_rope");
  if (!budget.is_none()) question.budget = ranged(budget, "budget", 1, INT64_MAX);
  const cli::ModelCache found = find_model(kind, model, name);
  return cli::answer_to_json(take(cli::answer(found, question)), question)
      .dump(-1, ' ', false, cli::Json::error_handler_t::replace);
}

nb::list kv_cost_models() {
  nb::list names;
  for (const cli::KnownModel& model : cli::known_models()) names.append(model.name);
  return names;
}

}  // namespace

void define_kv_cost(nb::module_& module) {
  module.def("kv_cost", &kv_cost, nb::arg("kind"), nb::arg("model"), nb::arg("name"), nb::arg("batch").none(),
             nb::arg("length").none(), nb::arg("page_size").none(), nb::arg("bits").none(),
             nb::arg("scale_group").none(), nb::arg("scale_bytes").none(), nb::arg("quantise_rope").none(),
             nb::arg("budget").none());
  module.def("kv_cost_models", &kv_cost_models);
}

}  // namespace flash_mla::python
