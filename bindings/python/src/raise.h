// Python exceptions from refused calls.
#pragma once

#include <nanobind/nanobind.h>

#include "flash_mla/status.h"

namespace flash_mla::python {

namespace nb = nanobind;

/// Raises `type` with a message made as PyErr_Format does.
[[noreturn]] void raise(PyObject* type, const char* format, ...);

/// ValueError with the status' message; PlanMismatch (a ValueError), NotImplementedError, OutOfPages and RuntimeError
/// where they say more, and `not_found` for names and ids.
void raise_if_error(const Status& status, PyObject* not_found = PyExc_ValueError);

/// Makes the module's exception classes.
void define_exceptions(nb::module_& module);

/// Numbers out of Python objects; the exceptions name the argument.
int64_t int_of(nb::handle object, const char* name);
double float_of(nb::handle object, const char* name);
bool bool_of(nb::handle object, const char* name);
std::string text_of(nb::handle object, const char* name);
const char* kind_of(nb::handle object);

}  // namespace flash_mla::python
