// Runs the Hopper kernels on the emulated machine, over a scene's arrays.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "machine/launch.h"
#include "support/scene.h"

namespace flash_mla::test {

/// The kernels of a PTX file, parsed and decoded when they are first asked for.
class Kernels {
 public:
  explicit Kernels(const std::string& path);
  /// The same with one of them changed. Throws as find() does.
  Kernels(const Kernels& original, const emulator::ptx::Function& changed);
  ~Kernels();
  /// Throws if there is no such kernel, or it has something that the emulator does not know.
  const emulator::machine::Program& find(const std::string& name);
  [[nodiscard]] const emulator::ptx::Module& module() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What ships.
Kernels& shipped_kernels();

/// The kernels for few rows have the rows of all sequences and KV heads in one tile.
enum class Path {
  shipped,    ///< what the shape leads to
  many_rows,  ///< tiles of 64 rows, whatever the shape
};

struct DeviceRun {
  int parts = 2;         ///< CTAs
  int splits = 1;        ///< of every row block's keys
  int64_t quantum = 64;  ///< keys that parts of a split block are multiples of
  uint64_t seed = 1;
  Path path = Path::shipped;
  bool with_lse = true;
  bool checks = true;
  uint64_t patience = 2'000'000;  ///< warp-instructions without progress
  uint64_t most_instructions = UINT64_MAX;
  bool gathers = false;  ///< also where a tensor map fits the cache
};

struct DeviceOutput {
  Output output;
  std::vector<emulator::machine::Report> reports;
  std::string decode_kernel, merge_kernel;  ///< that ran; merge: empty if there was nothing to merge
  emulator::machine::Counters decode, merge;

  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool found(emulator::machine::Finding finding) const;
};

/// Whether the shape leads to a kernel for few rows.
bool has_few_rows(const Scene& scene);

/// Plans as simply as can be (every block in equal parts), decodes and merges.
DeviceOutput run_on_device(const Scene& scene, const DeviceRun& how, Kernels& kernels = shipped_kernels());

}  // namespace flash_mla::test
