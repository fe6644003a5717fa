#include "cli/launch_log.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "support/format.h"

namespace emulator::cli {
namespace {

using nlohmann::json;

class Reader {
 public:
  void read(const json& record) {
    const std::string kind = record.at("record");
    if (kind == "code") return code(record);
    if (kind == "launch") return launch(record);
    throw std::runtime_error(format("a record of kind '{}'; 'code' and 'launch' are known", kind));
  }
  std::vector<LoggedKernel> kernels;

 private:
  void code(const json& record) {
    const auto [known, is_new] = by_code_.try_emplace(record.at("code").get<std::string>(), kernels.size());
    if (!is_new) return;  // another process appended to the file
    LoggedKernel& kernel = kernels.emplace_back();
    kernel.name = record.at("kernel");
    const auto files = record.at("files").get<std::vector<std::string>>();
    for (const json& instruction : record.at("instructions")) {
      LoggedInstruction logged;
      logged.line = instruction.at(0);
      logged.opcode = instruction.at(1);
      logged.source_line = instruction.at(3);
      if (logged.source_line != 0) logged.file = files.at(instruction.at(2).get<size_t>());
      kernel.instructions.push_back(std::move(logged));
    }
  }

  void launch(const json& record) {
    const auto found = by_code_.find(record.at("code").get<std::string>());
    if (found == by_code_.end()) throw std::runtime_error("a launch of a kernel whose code is not there");
    LoggedKernel& kernel = kernels[found->second];
    ++kernel.launches;
    uint64_t ctas = 1;
    for (const json& extent : record.at("grid")) ctas *= extent.get<uint64_t>();
    kernel.ctas += ctas;
    kernel.reports += record.at("reports").get<uint64_t>();
    for (const auto& [name, count] : record.at("counters").items()) kernel.counters[name] += count.get<uint64_t>();
    const json& executions = record.at("executions");
    for (size_t i = 0; i < kernel.instructions.size(); ++i) {
      kernel.instructions[i].executions += executions.at(i).get<uint64_t>();
    }
    for (const json& entry : record.at("wavefronts")) {
      LoggedInstruction& instruction = kernel.instructions.at(entry.at(0).get<size_t>());
      instruction.wavefronts += entry.at(1).get<uint64_t>();
      instruction.ideal_wavefronts += entry.at(2).get<uint64_t>();
    }
    for (const json& entry : record.at("sectors")) {
      LoggedInstruction& instruction = kernel.instructions.at(entry.at(0).get<size_t>());
      instruction.sectors += entry.at(1).get<uint64_t>();
      instruction.ideal_sectors += entry.at(2).get<uint64_t>();
    }
  }

  std::map<std::string, size_t> by_code_;
};

}  // namespace

std::vector<LoggedKernel> read_launch_log(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  std::string line;
  if (!file || file.peek() == std::ifstream::traits_type::eof()) {
    throw std::runtime_error(format("{}: {}", path, errno != 0 ? std::strerror(errno) : "no launch was recorded"));
  }
  Reader reader;
  for (size_t number = 1; std::getline(file, line); ++number) {
    try {
      reader.read(json::parse(line));
    } catch (const json::exception&) {
      throw std::runtime_error(
          format("{}:{}: no record as FLASH_MLA_EMULATOR_COUNTERS has the emulator write them", path, number));
    } catch (const std::exception& error) {
      throw std::runtime_error(format("{}:{}: {}", path, number, error.what()));
    }
  }
  std::erase_if(reader.kernels, [](const LoggedKernel& kernel) { return kernel.launches == 0; });
  if (reader.kernels.empty()) throw std::runtime_error(format("{}: no launch was recorded", path));
  return std::move(reader.kernels);
}

}  // namespace emulator::cli
