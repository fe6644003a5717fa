// Mutation test of the shipped kernels: deletes or weakens one synchronising or asynchronous instruction at a time, and
// counts how many of the mutants the emulator and the reference find. Fails of survivors that are not in the list.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>

#include "mutation/survivors.h"
#include "mutation/trial.h"

namespace flash_mla::test {
namespace {

struct Options {
  std::string ptx = FLASH_MLA_SM90_PTX, root = FLASH_MLA_SOURCE_ROOT, known, kernels, json;
  uint64_t seeds = 5, sample = 0, sample_seed = 1;
  unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
};

struct Mutant {
  const emulator::ptx::Function* kernel;
  Mutation mutation;
  std::string verdict;  // empty: survived
  bool runs = true;     // in the scenes

  [[nodiscard]] const emulator::ptx::Instruction& instruction() const {
    return kernel->instructions[mutation.instruction];
  }
};

std::vector<Mutant> mutants_of(const Kernels& kernels, const Options& options) {
  std::vector<Mutant> all;
  for (const emulator::ptx::Function& kernel : kernels.module().functions) {
    if (!kernel.entry || kernel.name.find(options.kernels) == std::string::npos) continue;
    if (!Trial::knows(kernel.name)) {
      fmt::print("no scenes for {}\n", kernel.name);
      continue;
    }
    for (const Mutation& mutation : mutations_of(kernel)) all.push_back({&kernel, mutation, ""});
  }
  if (options.sample == 0 || options.sample >= all.size()) return all;
  std::mt19937_64 engine(options.sample_seed);
  std::shuffle(all.begin(), all.end(), engine);
  all.resize(options.sample);
  return all;
}

/// Calls `work` on every mutant, on several threads.
template <class Work>
void each_mutant(std::vector<Mutant>& mutants, unsigned jobs, Work work) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < jobs; ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < mutants.size(); at = next++) work(mutants[at]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class Progress {
 public:
  explicit Progress(size_t all) : all_(all), shows_(isatty(STDERR_FILENO) != 0) {}
  void step() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++done_;
    if (shows_) {
      fmt::print(stderr, "\r{} of {}{}", done_, all_, done_ == all_ ? "\n" : "");
    } else if (done_ * 10 / all_ != (done_ - 1) * 10 / all_) {
      fmt::print(stderr, "{} of {}\n", done_, all_);
    }
  }

 private:
  std::mutex mutex_;
  size_t all_, done_ = 0;
  bool shows_;
};

struct Tally {
  size_t all = 0, found = 0;
};

void print_table(const std::map<std::string, Tally>& rows, std::string_view title) {
  fmt::print("\n{:<60} {:>7} {:>7}\n", title, "mutants", "found");
  for (const auto& [name, tally] : rows) {
    if (tally.all == 0) continue;
    fmt::print("{:<60} {:>7} {:>7}  {:5.1f} %\n", name, tally.all, tally.found,
               100.0 * static_cast<double>(tally.found) / static_cast<double>(tally.all));
  }
}

void print_tables(const std::vector<Mutant>& mutants) {
  std::map<std::string, Tally> by_instruction, by_kernel;
  std::map<std::string, size_t> by_verdict;
  for (const Mutant& mutant : mutants) {
    // "bar.sync", "mbarrier.arrive", "wgmma.wait_group": the name and its first suffix.
    const std::string& opcode = mutant.instruction().opcode;
    const std::string name = opcode.substr(0, opcode.find('.', opcode.find('.') + 1));
    for (Tally* tally : {&by_instruction[fmt::format("{}: {}", name, name_of(mutant.mutation.kind))],
                         &by_kernel[mutant.kernel->name], &by_kernel["all"]}) {
      if (!mutant.runs) continue;
      ++tally->all;
      tally->found += mutant.verdict.empty() ? 0 : 1;
    }
    ++by_verdict[!mutant.runs ? "nothing, as no scene runs it" : mutant.verdict.empty() ? "nothing" : mutant.verdict];
  }
  print_table(by_instruction, "instruction");
  print_table(by_kernel, "kernel");
  fmt::print("\n{:<60} {:>7}\n", "found by", "mutants");
  for (const auto& [verdict, count] : by_verdict) fmt::print("{:<60} {:>7}\n", verdict, count);
}

/// How many survived that the list does not know.
size_t print_survivors(const std::vector<Mutant>& mutants, const Options& options, const Kernels& kernels) {
  Sources sources(options.root);
  std::optional<KnownSurvivors> known;
  if (!options.known.empty()) known.emplace(options.known);
  struct Survivor {
    std::string reason, places;
    size_t count = 0;
  };
  std::map<std::string, Survivor> survivors;
  size_t unknown = 0;
  for (const Mutant& mutant : mutants) {
    if (!mutant.verdict.empty() || !mutant.runs) continue;
    const emulator::ptx::Instruction& instruction = mutant.instruction();
    const Origin origin = sources.origin_of(kernels.module(), instruction);
    const std::string* const reason = known ? known->reason(mutant.mutation.kind, instruction.opcode, origin) : nullptr;
    Survivor& survivor = survivors[fmt::format("{}\t{}\t{}\t{}", name_of(mutant.mutation.kind), instruction.opcode,
                                               origin.file, origin.text)];
    ++survivor.count;
    survivor.reason = reason == nullptr ? "NOT IN THE LIST" : *reason;
    survivor.places += fmt::format(" {}:{}", origin.line, instruction.line);
    unknown += reason == nullptr ? 1 : 0;
  }
  fmt::print("\nsurvivors: mutation, opcode, file, source line, reason; with line:PTX line of each\n");
  for (const auto& [what, survivor] : survivors) {
    fmt::print("{}\t{}\n    {} times:{}\n", what, survivor.reason, survivor.count, survivor.places);
  }
  const bool whole = options.sample == 0 && options.kernels.empty();
  size_t stale = 0;
  if (known && whole) {
    for (const std::string& entry : known->unused()) {
      fmt::print("nothing survives any more: {}\n", entry);
      ++stale;
    }
  }
  return unknown + stale;
}

int run(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const Kernels kernels(options.ptx);
  std::vector<Mutant> mutants = mutants_of(kernels, options);
  if (mutants.empty()) throw std::runtime_error(fmt::format("--kernel: no kernel has {} in its name", options.kernels));
  std::map<std::string, Trial> trials;
  for (const Mutant& mutant : mutants) {
    if (trials.contains(mutant.kernel->name)) continue;
    const auto trial = trials.emplace(mutant.kernel->name, Trial(mutant.kernel->name)).first;
    Kernels shipped(kernels, *mutant.kernel);
    const std::string verdict = trial->second.verdict(shipped, options.seeds);
    if (!verdict.empty()) throw std::runtime_error(mutant.kernel->name + " as it is shipped: " + verdict);
  }
  Progress progress(mutants.size());
  each_mutant(mutants, options.jobs, [&](Mutant& mutant) {
    Kernels changed(kernels, mutated(*mutant.kernel, mutant.mutation));
    const Trial& trial = trials.at(mutant.kernel->name);
    mutant.runs = trial.executions().at(mutant.mutation.instruction) != 0;
    if (mutant.runs) mutant.verdict = trial.verdict(changed, options.seeds);
    progress.step();
  });
  print_tables(mutants);
  const size_t unexplained = print_survivors(mutants, options, kernels);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const auto all = std::ranges::count_if(mutants, [](const Mutant& mutant) { return mutant.runs; });
  const auto found = std::ranges::count_if(mutants, [](const Mutant& mutant) { return !mutant.verdict.empty(); });
  fmt::print(
      "\n{} mutants, {} found ({:.1f} %), {} unexplained; {} more of instructions that no scene runs; {:.0f} s on {} "
      "threads\n",
      all, found, 100.0 * static_cast<double>(found) / static_cast<double>(std::max<int64_t>(all, 1)), unexplained,
      static_cast<int64_t>(mutants.size()) - all, took.count(), options.jobs);
  return options.known.empty() || unexplained == 0 ? 0 : 1;
}

}  // namespace
}  // namespace flash_mla::test

int main(int argc, char** argv) {
  using namespace flash_mla::test;
  CLI::App app(
      "Deletes or weakens one synchronising instruction of the Hopper kernels at a time, and says which mutants "
      "the emulator does not find.",
      "sm90_mutation");
  Options options;
  app.add_option("--kernel", options.kernels, "Only kernels with this in their name")->type_name("TEXT");
  app.add_option("--seeds", options.seeds, "Seeds of the scheduler that a mutant has to get through")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1000}))
      ->capture_default_str();
  app.add_option("--sample", options.sample, "Mutants to draw; 0: all")->type_name("N")->capture_default_str();
  app.add_option("--sample-seed", options.sample_seed, "Of the drawing")->type_name("N")->capture_default_str();
  app.add_option("--jobs", options.jobs, "Threads")
      ->type_name("N")
      ->check(CLI::Range(1u, 1024u))
      ->capture_default_str();
  app.add_option("--survivors", options.known,
                 "List of survivors with reasons; fails of others, and of reasons too many")
      ->type_name("FILE");
  app.add_option("--ptx", options.ptx, "The kernels; default: those of this build")->type_name("FILE");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "sm90_mutation: error: {}\n", error.what());
    return 2;
  }
}
