#include "run_command.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdio>
#include <string>
#include <vector>

#include "command.h"

namespace nb = nanobind;

namespace flash_mla::python {

namespace {

int run_command(const std::vector<std::string>& arguments) {
  std::vector<const char*> pointers;
  pointers.reserve(arguments.size());
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  const nb::gil_scoped_release release;
  const int exit_code = cli::run(static_cast<int>(pointers.size()), pointers.data());
  std::fflush(stdout);
  return exit_code;
}

}  // namespace

void define_run_command(nb::module_& module) {
  module.def("run_command", &run_command, nb::arg("arguments"));
}

}  // namespace flash_mla::python
