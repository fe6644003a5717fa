#include "plan.h"

#include <nanobind/stl/unique_ptr.h>

#include <climits>
#include <memory>
#include <mutex>

#include "array.h"
#include "flash_mla/backend.h"
#include "raise.h"

namespace flash_mla::python {

namespace {

DType dtype_named(nb::handle name, const char* argument) {
  const std::string text = text_of(name, argument);
  for (DType dtype : {DType::bfloat16, DType::float16, DType::float32}) {
    if (text == name_of(dtype)) return dtype;
  }
  raise(PyExc_ValueError, "%s = '%s'; expected bfloat16, float16 or float32", argument, text.c_str());
}

/// The lengths as the planner takes them: a dense copy in the CPU's memory.
std::vector<int32_t> lengths_of(nb::handle object, const char* name, const char* shape, nb::handle stream) {
  Place place{.device = std::nullopt};
  place.stream = stream_of(stream, object);
  const Array array(object, name, shape, place);
  if (array.absent()) raise(PyExc_TypeError, "%s is None; expected an array %s", name, shape);
  const Tensor tensor = array.tensor();
  if (tensor.dtype != DType::int32) {
    raise(PyExc_ValueError, "%s has dtype %s; expected int32", name, name_of(tensor.dtype));
  }
  if (tensor.rank != 1) raise(PyExc_ValueError, "%s has rank %d; expected %s with rank 1", name, tensor.rank, shape);
  return read_int32(tensor, array.device(), place.stream, name);
}

/// Arrays on a CUDA device take the backend that is for them.
std::string backend_of(nb::handle backend, nb::handle seqlens) {
  if (!backend.is_none()) return text_of(backend, "backend");
  if (!is_on_cuda(seqlens)) return "";
  for (const BackendInfo& info : backends()) {
    if (!info.on_cuda) continue;
    if (const Status status = find_backend(info.name).status(); !status.ok()) {
      raise(PyExc_NotImplementedError, "seqlens is on a CUDA device: %s", status.message().c_str());
    }
    return info.name;
  }
  return "";
}

std::unique_ptr<PythonPlan> make_plan(nb::handle seqlens, nb::handle cu_seqlens_q, nb::handle s_q, nb::handle h_q,
                                      nb::handle h_kv, nb::handle d, nb::handle d_v, nb::handle page_size,
                                      nb::handle dtype, nb::handle out_dtype, nb::handle separate_v, nb::handle causal,
                                      nb::handle window, nb::handle sinks, nb::handle batch_invariant,
                                      nb::handle num_workers, nb::handle backend, nb::handle stream) {
  PlanOptions options;
  options.shape.dtype = dtype_named(dtype, "dtype");
  options.shape.out_dtype = out_dtype.is_none() ? options.shape.dtype : dtype_named(out_dtype, "out_dtype");
  options.shape.s_q = int_of(s_q, "s_q");
  options.shape.h_q = int_of(h_q, "h_q");
  options.shape.h_kv = int_of(h_kv, "h_kv");
  options.shape.d = int_of(d, "d");
  options.shape.d_v = int_of(d_v, "d_v");
  options.shape.page_size = int_of(page_size, "page_size");
  options.shape.separate_v = bool_of(separate_v, "separate_v");
  options.mask = {bool_of(causal, "causal"), int_of(window, "window"), int_of(sinks, "sinks")};
  options.mode = bool_of(batch_invariant, "batch_invariant") ? PlanMode::batch_invariant : PlanMode::standard;
  const int64_t workers = int_of(num_workers, "num_workers");
  if (workers < INT_MIN || workers > INT_MAX) {
    raise(PyExc_ValueError, "num_workers = %lld; expected 0 to 1024", static_cast<long long>(workers));
  }
  options.num_workers = static_cast<int>(workers);
  options.backend = backend_of(backend, seqlens);
  return std::make_unique<PythonPlan>(std::move(options), seqlens, cu_seqlens_q, stream);
}

/// A property that remake() in another thread may be changing.
template <class Read>
auto property(Read read) {
  return [read](const PythonPlan& self) {
    const std::shared_lock lock(self.mutex);
    return read(self);
  };
}

nb::str text_of_plan(const PythonPlan& self) {
  const std::shared_lock lock(self.mutex);
  const DecodeShape& shape = self.options().shape;
  std::string text = "<flash_mla.Plan b=" + std::to_string(shape.batch) + " s_q=" + std::to_string(shape.s_q) +
                     " h_q=" + std::to_string(shape.h_q) + " h_kv=" + std::to_string(shape.h_kv) +
                     " d=" + std::to_string(shape.d) + " d_v=" + std::to_string(shape.d_v) +
                     " page_size=" + std::to_string(shape.page_size) + " " + name_of(shape.dtype) + " on " +
                     self.plan().backend() + " x " + std::to_string(self.plan().num_workers()) + ">";
  return nb::str(text.c_str());
}

}  // namespace

PythonPlan::PythonPlan(PlanOptions options, nb::handle seqlens, nb::handle cu_seqlens_q, nb::handle stream)
    : options_(std::move(options)) {
  remake(seqlens, cu_seqlens_q, stream);
}

void PythonPlan::choose_device() {
  const Result<BackendInfo> info = find_backend(options_.backend);
  if (!info.ok() || !info.value().on_cuda) return;
  if (!plan_) {
    const Result<int> current = cuda_current_device();
    raise_if_error(current.status());
    device_ = current.value() < 0 ? 0 : current.value();  // as the CUDA runtime chooses
  }
  make_current(device_, "the plan");
}

PythonPlan::~PythonPlan() {
  // Memory is freed in the current context, and the garbage collector's thread may have none.
  if (!workspaces_.empty() && cuda_current_device().ok() && cuda_current_device().value() < 0) {
    static_cast<void>(cuda_use_device(device_));
  }
}

PythonPlan::Workspace PythonPlan::workspace(void* stream) const {
  Workspace workspace{std::unique_lock(workspaces_mutex_), nullptr, plan_->workspace_size(), {}};
  Uploaded& own = workspaces_[stream];
  if (own.memory.data() == nullptr || own.memory.size() < workspace.size) {
    own = {};
    Result<CudaMemory> memory = CudaMemory::allocate(workspace.size);
    workspace.status = memory.status();
    if (!memory.ok()) return workspace;
    own.memory = std::move(memory).value();
  }
  workspace.memory = own.memory.data();
  if (own.version != version_) {
    workspace.status = plan_->upload(workspace.memory, workspace.size, stream);
    own.version = workspace.status.ok() ? version_ : 0;
  }
  return workspace;
}

void PythonPlan::remake(nb::handle seqlens, nb::handle cu_seqlens_q, nb::handle stream) {
  std::vector<int32_t> lengths = lengths_of(seqlens, "seqlens", "[b] int32", stream);
  std::vector<int32_t> queries;
  if (!cu_seqlens_q.is_none()) {
    queries = lengths_of(cu_seqlens_q, "cu_seqlens_q", "[b + 1] int32", stream);
    if (queries.size() != lengths.size() + 1) {
      raise(PyExc_ValueError, "cu_seqlens_q has shape [%zu]; expected [b + 1] = [%zu]", queries.size(),
            lengths.size() + 1);
    }
  }
  choose_device();
  Status status;
  {
    nb::gil_scoped_release release;
    const std::unique_lock lock(mutex);
    PlanSpec spec;
    spec.shape = options_.shape;
    spec.shape.batch = static_cast<int64_t>(lengths.size());
    spec.seqlens = lengths.data();
    spec.cu_seqlens_q = queries.empty() ? nullptr : queries.data();
    spec.mask = options_.mask;
    spec.mode = options_.mode;
    spec.num_workers = options_.num_workers;
    spec.backend = options_.backend;
    if (plan_) {
      status = plan_->remake(spec);
    } else if (Result<Plan> made = Plan::make(spec); made.ok()) {
      plan_ = std::move(made).value();
    } else {
      status = made.status();
    }
    if (status.ok()) {
      options_.shape.batch = spec.shape.batch;
      lengths_ = std::move(lengths);
      ++version_;
    }
  }
  raise_if_error(status);
}

void define_plan(nb::module_& module) {
  nb::class_<PythonPlan>(
      module, "Plan",
      "How one batch's work is split over workers, for one backend. Made by `plan()`; serves all layers of a step and\n"
      "any number of threads at once. `decode` refuses it (`PlanMismatch`) for other shapes or lengths.")
      .def("remake", &PythonPlan::remake, nb::arg("seqlens").none(), nb::arg("cu_seqlens_q") = nb::none(),
           nb::arg("stream") = nb::none(),
           "Plans anew for other lengths (and another batch size), reusing this plan's memory: the way to plan each\n"
           "step. Waits for calls that use the plan. On an error the plan is unchanged. `stream`: as for `plan()`.")
      .def_prop_ro("workspace_size", property([](const PythonPlan& self) { return self.plan().workspace_size(); }),
                   "Bytes that `decode` needs as `workspace`.")
      .def_prop_ro("backend", property([](const PythonPlan& self) { return self.plan().backend(); }),
                   "Name of the backend that will run.")
      .def_prop_ro(
          "device", [](const PythonPlan& self) { return self.device(); },
          "Index of the CUDA device on which all arrays of its calls have to lie; -1: in the CPU's memory.")
      .def_prop_ro("num_workers", property([](const PythonPlan& self) { return self.plan().num_workers(); }),
                   "Threads it is balanced for.")
      .def_prop_ro("num_units", property([](const PythonPlan& self) { return self.plan().num_units(); }),
                   "Independent pieces of work.")
      .def_prop_ro("num_split_units", property([](const PythonPlan& self) { return self.plan().num_split_units(); }),
                   "Pieces that are parts of a split sequence.")
      .def_prop_ro("batch", property([](const PythonPlan& self) { return self.options().shape.batch; }),
                   "Sequences, b.")
      .def_prop_ro("d_v", property([](const PythonPlan& self) { return self.options().shape.d_v; }), "Value width.")
      .def_prop_ro(
          "out_dtype", [](const PythonPlan& self) { return name_of(self.options().shape.out_dtype); },
          "Element type of `out`.")
      .def("__repr__", &text_of_plan);
  module.def("make_plan", &make_plan, nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
             nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
             nb::arg(), nb::arg().none(), nb::arg().none());
}

}  // namespace flash_mla::python
