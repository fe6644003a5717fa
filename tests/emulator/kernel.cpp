#include "kernel.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

namespace emulator::test {

std::string module_text(std::string_view body) {
  return ".version 8.8\n.target sm_90a\n.address_size 64\n" + std::string(body);
}

std::string kernel_text(std::string_view body) {
  return module_text(R"(
.visible .entry test(.param .u64 out_address, .param .u64 in_address) {
  .reg .pred %p<64>; .reg .b16 %h<64>; .reg .b32 %r<64>; .reg .f32 %f<64>; .reg .b64 %d<64>; .reg .f64 %x<64>;
  .reg .b64 %out, %in;
  ld.param.u64 %out, [out_address];
  ld.param.u64 %in, [in_address];
)" + std::string(body) +
                     "\n  ret;\n}\n");
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool Result::found(machine::Finding finding) const {
  return std::any_of(reports.begin(), reports.end(), [&](const auto& report) { return report.finding == finding; });
}

std::string Result::text() const {
  std::string all = refusal;
  for (const machine::Report& report : reports) all += report.message + "\n";
  return all;
}

Kernel::Kernel(const std::string& text, const std::string& name) {
  if (const auto error = load(text, name)) refusal_ = "line " + std::to_string(error->line) + ": " + error->message;
}

std::optional<ptx::Error> Kernel::load(const std::string& text, const std::string& name) {
  const auto parsed = ptx::parse(text);
  if (const auto* error = std::get_if<ptx::Error>(&parsed)) return *error;
  const auto& module = std::get<ptx::Module>(parsed);
  machine::VariableAddresses addresses;
  for (const ptx::Variable& variable : module.variables) {
    std::vector<uint8_t> bytes = variable.initial;
    bytes.resize(variable.size);
    addresses.push_back(variable.space == ptx::Space::shared ? 0 : upload(bytes));
  }
  for (const ptx::Function& function : module.functions) {
    if (!function.entry || (!name.empty() && function.name != name)) continue;
    auto decoded = machine::decode(module, function, addresses);
    if (const auto* error = std::get_if<ptx::Error>(&decoded)) return *error;
    program_ = std::move(std::get<0>(decoded));
    parameters_.resize(program_->parameter_bytes);
    return std::nullopt;
  }
  return ptx::Error{0, "there is no kernel " + name};
}

Result Kernel::run(machine::Prerequisites* stream) {
  Result result;
  result.refusal = refusal_;
  if (program_ == nullptr) return result;
  machine::Reports reports;
  result.counters = machine::run(*program_, shape, parameters_, memory, options, reports, stream);
  result.reports = reports.all();
  return result;
}

}  // namespace emulator::test
