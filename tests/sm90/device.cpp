#include "device.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <numbers>
#include <stdexcept>

#include "core/visibility.h"
#include "machine/decoder.h"
#include "machine/tensor_map.h"
#include "ptx/parse.h"
#include "sm90/params.h"

namespace flash_mla::test {
namespace {

namespace machine = emulator::machine;
using sm90::Merge;
using sm90::Unit;

machine::Allocation& allocation(machine::Memory& memory, uint64_t address, size_t bytes) {
  return *memory.find(address, bytes);
}

uint64_t upload_bytes(machine::Memory& memory, const void* bytes, size_t size) {
  const uint64_t address = memory.allocate(std::max<size_t>(size, 1));
  machine::Allocation& to = allocation(memory, address, size);
  if (size > 0) std::memcpy(to.bytes.data(), bytes, size);
  machine::mark(to.initialised.data(), 0, to.size);
  return address;
}

/// All of its memory; returns the address of its first element.
uint64_t upload(machine::Memory& memory, const Array& array) {
  const Memory& from = array.memory();
  const auto offset = static_cast<const std::byte*>(array.view().data) - from.data();
  return upload_bytes(memory, from.data(), from.size()) + static_cast<uint64_t>(offset);
}

void download(machine::Memory& memory, uint64_t address, Array& array) {
  const Memory& to = array.memory();
  const uint64_t start = address - static_cast<uint64_t>(static_cast<const std::byte*>(array.view().data) - to.data());
  std::memcpy(to.data(), allocation(memory, start, to.size()).bytes.data(), to.size());
}

template <class T>
uint64_t upload_list(machine::Memory& memory, const std::vector<T>& list) {
  return upload_bytes(memory, list.data(), list.size() * sizeof(T));
}

template <class T>
T* pointer(uint64_t address) {
  return reinterpret_cast<T*>(address);  // of the device: never followed here
}

struct Work {
  std::vector<std::vector<Unit>> parts;
  std::vector<Merge> merges;
  int64_t partial_rows = 0;
};

void add_block(const core::KeyRange& keys, Unit unit, const DeviceRun& how, size_t& next_part, Work& work) {
  const int64_t quanta = (keys.size() + how.quantum - 1) / how.quantum;
  const int64_t first_partial = work.partial_rows;
  for (int64_t split = 0; split < how.splits; ++split) {
    const int64_t begin = std::min(keys.size(), quanta * split / how.splits * how.quantum);
    const int64_t end = std::min(keys.size(), quanta * (split + 1) / how.splits * how.quantum);
    const int64_t shift = keys.window_begin - keys.sink_end;
    unit.begin[0] = static_cast<int32_t>(std::min(begin, keys.sink_end));
    unit.end[0] = static_cast<int32_t>(std::min(end, keys.sink_end));
    unit.begin[1] = static_cast<int32_t>(std::max(begin, keys.sink_end) + shift);
    unit.end[1] = static_cast<int32_t>(std::max(end, keys.sink_end) + shift);
    unit.partial_row = how.splits > 1 ? first_partial + split * unit.row_count : -1;
    work.parts[next_part++ % work.parts.size()].push_back(unit);
  }
  if (how.splits == 1) return;
  work.partial_rows += int64_t{how.splits} * unit.row_count;
  work.merges.push_back(
      {unit.sequence, unit.kv_head, unit.first_token, unit.row_begin, unit.row_count, how.splits, first_partial});
}

Work plan(const Scene& scene, const DeviceRun& how) {
  const SceneSpec& spec = scene.spec();
  const int64_t group = spec.shape.h_q / spec.shape.h_kv;
  Work work;
  work.parts.resize(static_cast<size_t>(how.parts));
  size_t next_part = 0;
  for (int64_t i = 0; i < spec.shape.batch; ++i) {
    const int64_t s_q = scene.s_q(i), rows = s_q * group;
    for (int64_t head = 0; head < spec.shape.h_kv; ++head) {
      for (int64_t row = 0; row < rows; row += sm90::kTileRows) {
        const int64_t count = std::min<int64_t>(sm90::kTileRows, rows - row);
        Unit unit{};
        unit.sequence = static_cast<int32_t>(i);
        unit.kv_head = static_cast<int32_t>(head);
        unit.first_token = scene.ragged() ? static_cast<int32_t>(scene.first_query(i)) : 0;
        unit.s_q = static_cast<int32_t>(s_q);
        unit.s_k = spec.seqlens[static_cast<size_t>(i)];
        unit.row_begin = static_cast<int32_t>(row);
        unit.row_count = static_cast<int32_t>(count);
        add_block(core::visible_keys(spec.mask, unit.s_k, s_q, row / group, (row + count - 1) / group), unit, how,
                  next_part, work);
      }
    }
  }
  return work;
}

/// Of every sequence and KV head; 0: they differ.
int64_t rows_of(const Scene& scene) {
  const DecodeShape& shape = scene.spec().shape;
  return scene.ragged() ? 0 : shape.s_q * (shape.h_q / shape.h_kv);
}

sm90::RowStrides strides_of(const ConstTensor& rows, bool ragged) {
  return ragged ? sm90::RowStrides{0, rows.strides[0], rows.strides[1]}
                : sm90::RowStrides{rows.strides[0], rows.strides[1], rows.strides[2]};
}
sm90::RowStrides lse_strides_of(const ConstTensor& lse, bool ragged) {
  return ragged ? sm90::RowStrides{0, lse.strides[1], lse.strides[0]}
                : sm90::RowStrides{lse.strides[0], lse.strides[2], lse.strides[1]};
}

struct MapBytes {
  uint8_t bytes[128];
};

MapBytes key_map(const ConstTensor& cache, uint64_t address) {
  machine::TensorMap map;
  map.address = address;
  map.rank = 4;
  map.element_bytes = 2;
  map.swizzle = machine::Swizzle::bytes128;
  const int axes[] = {3, 1, 2, 0};
  for (int i = 0; i < 4; ++i) {
    map.extents[i] = static_cast<uint64_t>(cache.shape[axes[i]]);
    map.box[i] = map.steps[i] = 1;
    if (i > 0) map.strides[i - 1] = static_cast<uint64_t>(cache.strides[axes[i]] * 2);
  }
  map.box[0] = sm90::kChunkColumns;
  map.box[1] = static_cast<uint16_t>(sm90::box_rows(cache.shape[1]));
  MapBytes bytes{};
  std::memcpy(bytes.bytes, &map, sizeof(map));
  return bytes;
}

class Arguments {
 public:
  explicit Arguments(const machine::Program& program) : program_(program), bytes_(program.parameter_bytes) {}
  template <class T>
  Arguments& add(const T& value) {
    std::memcpy(bytes_.data() + program_.parameters.at(next_++).offset, &value, sizeof(T));
    return *this;
  }
  [[nodiscard]] const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  const machine::Program& program_;
  std::vector<uint8_t> bytes_;
  size_t next_ = 0;
};

std::unique_ptr<machine::Program> decoded(const emulator::ptx::Module& module,
                                          const emulator::ptx::Function& function) {
  const machine::VariableAddresses none(module.variables.size());
  auto program = machine::decode(module, function, none);
  if (const auto* error = std::get_if<emulator::ptx::Error>(&program)) {
    throw std::runtime_error(function.name + ": line " + std::to_string(error->line) + ": " + error->message);
  }
  return std::move(std::get<0>(program));
}

}  // namespace

struct Kernels::State {
  std::shared_ptr<const emulator::ptx::Module> module;
  std::map<std::string, std::unique_ptr<machine::Program>> programs;
};

Kernels::Kernels(const std::string& path) : state_(std::make_unique<State>()) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto parsed = emulator::ptx::parse(text);
  if (const auto* error = std::get_if<emulator::ptx::Error>(&parsed)) {
    throw std::runtime_error(path + ":" + std::to_string(error->line) + ": " + error->message);
  }
  state_->module = std::make_shared<const emulator::ptx::Module>(std::move(std::get<emulator::ptx::Module>(parsed)));
}
Kernels::Kernels(const Kernels& original, const emulator::ptx::Function& changed) : state_(std::make_unique<State>()) {
  state_->module = original.state_->module;
  state_->programs[changed.name] = decoded(module(), changed);
}
Kernels::~Kernels() = default;

const emulator::ptx::Module& Kernels::module() const {
  return *state_->module;
}

const machine::Program& Kernels::find(const std::string& name) {
  std::unique_ptr<machine::Program>& program = state_->programs[name];
  if (program != nullptr) return *program;
  for (const emulator::ptx::Function& function : module().functions) {
    if (!function.entry || function.name != name) continue;
    program = decoded(module(), function);
    return *program;
  }
  throw std::runtime_error("there is no kernel " + name);
}

Kernels& shipped_kernels() {
  static Kernels kernels(FLASH_MLA_SM90_PTX);
  return kernels;
}

std::string DeviceOutput::text() const {
  std::string all;
  for (const machine::Report& report : reports) all += report.message + "\n";
  return all;
}

bool DeviceOutput::found(machine::Finding finding) const {
  return std::ranges::any_of(reports, [&](const machine::Report& report) { return report.finding == finding; });
}

bool has_few_rows(const Scene& scene) {
  return sm90::few_rows(rows_of(scene)) > 0;
}

DeviceOutput run_on_device(const Scene& scene, const DeviceRun& how, Kernels& kernels) {
  const SceneSpec& spec = scene.spec();
  const DecodeShape& shape = spec.shape;
  const DecodeArgs args = scene.args();
  const Work work = plan(scene, how);
  DeviceOutput result{Output(scene), {}, {}, {}, {}, {}};

  machine::Memory memory;
  std::vector<Unit> units;
  std::vector<int32_t> part_begin{0};
  for (const std::vector<Unit>& part : work.parts) {
    units.insert(units.end(), part.begin(), part.end());
    part_begin.push_back(static_cast<int32_t>(units.size()));
  }
  const uint64_t out = upload(memory, result.output.out), lse = upload(memory, result.output.lse);

  sm90::DecodeParams params{};
  params.outputs.out = pointer<void>(out);
  params.outputs.lse = how.with_lse ? pointer<float>(lse) : nullptr;
  params.outputs.out_strides = strides_of(result.output.out.view(), scene.ragged());
  params.outputs.lse_strides = lse_strides_of(result.output.lse.view(), scene.ragged());
  params.outputs.out_is_float32 = shape.out_dtype == DType::float32 ? 1 : 0;
  params.outputs.group = static_cast<int32_t>(shape.h_q / shape.h_kv);
  params.q = pointer<const void>(upload(memory, scene.q));
  params.q_strides = strides_of(args.q, scene.ragged());
  params.units = pointer<const Unit>(upload_list(memory, units));
  params.part_begin = pointer<const int32_t>(upload_list(memory, part_begin));
  params.page_table = pointer<const int32_t>(upload(memory, scene.page_table));
  params.table_sequence_stride = args.page_table.strides[0];
  params.table_column_stride = args.page_table.strides[1];
  params.num_pages = args.k_cache.shape[0];
  // Partial results are new memory each time: what nobody writes is reported when the merge reads it.
  const auto partial_rows = static_cast<uint64_t>(work.partial_rows + 1);
  params.partial_out = pointer<float>(memory.allocate(partial_rows * static_cast<uint64_t>(shape.d_v) * 4));
  params.partial_lse = pointer<float>(memory.allocate(partial_rows * 4));
  const double scale = spec.scale.value_or(1 / std::sqrt(static_cast<double>(shape.d)));
  params.scale_log2 = static_cast<float>(scale * std::numbers::log2e);
  params.page_size = static_cast<int32_t>(shape.page_size);
  params.causal = spec.mask.causal ? 1 : 0;
  params.window = static_cast<int32_t>(spec.mask.window);
  params.sinks = static_cast<int32_t>(spec.mask.sinks);

  const uint64_t k = upload(memory, scene.k_cache);
  const sm90::KeyStrides strides{args.k_cache.strides[0] * 2, args.k_cache.strides[1] * 2, args.k_cache.strides[2] * 2};
  MapBytes map{};
  if (how.gathers || !sm90::tensor_map_fits(k, shape.page_size, strides.token, strides.head, strides.page)) {
    params.gathers = 1;
    params.k = pointer<const void>(k);
    params.k_strides = strides;
    params.k_is_aligned = sm90::rows_are_aligned(k, strides.token, strides.head, strides.page) ? 1 : 0;
  } else {
    map = key_map(args.k_cache, k);
  }

  const sm90::Element element = shape.dtype == DType::bfloat16 ? sm90::Element::bfloat16 : sm90::Element::float16;
  machine::Options options;
  options.seed = how.seed;
  options.checks = how.checks;
  options.patience = how.patience;
  options.most_instructions = how.most_instructions;
  machine::Reports reports;
  machine::LaunchShape launch;
  launch.grid = {static_cast<uint32_t>(how.parts), 1, 1};
  const int64_t rows = how.path == Path::shipped ? rows_of(scene) : 0;
  const sm90::DecodeKernel kernel = sm90::decode_kernel(element, shape.d, shape.d_v, rows);
  launch.block = {static_cast<uint32_t>(kernel.threads), 1, 1};
  launch.dynamic_shared = static_cast<uint32_t>(kernel.shared_bytes);
  result.decode_kernel = kernel.name;
  const machine::Program& decode = kernels.find(result.decode_kernel);
  const Arguments decode_arguments = Arguments(decode).add(map).add(params);
  machine::Prerequisites stream;
  result.decode = machine::run(decode, launch, decode_arguments.bytes(), memory, options, reports, &stream);

  const bool stopped = std::ranges::any_of(reports.all(), [](const machine::Report& report) { return report.fatal; });
  if (!work.merges.empty() && !stopped) {
    sm90::MergeParams merge{};
    merge.outputs = params.outputs;
    merge.merges = pointer<const Merge>(upload_list(memory, work.merges));
    merge.partial_out = params.partial_out;
    merge.partial_lse = params.partial_lse;
    merge.d_v = static_cast<int32_t>(shape.d_v);
    launch.grid = {static_cast<uint32_t>(work.merges.size()), sm90::merge_blocks(rows, shape.d_v), 1};
    launch.block = {sm90::kMergeThreads, 1, 1};
    launch.dynamic_shared = 0;
    launch.dependent = true;
    result.merge_kernel = sm90::merge_kernel_name(element);
    const machine::Program& program = kernels.find(result.merge_kernel);
    result.merge =
        machine::run(program, launch, Arguments(program).add(merge).bytes(), memory, options, reports, &stream);
  }
  result.reports = reports.all();
  download(memory, out, result.output.out);
  download(memory, lse, result.output.lse);
  return result;
}

}  // namespace flash_mla::test
