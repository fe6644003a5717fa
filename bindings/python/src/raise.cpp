#include "raise.h"

#include <nanobind/stl/string.h>

#include <cstdarg>

namespace flash_mla::python {

namespace {

nb::handle plan_mismatch, out_of_pages;  // owned by the module

}  // namespace

void raise(PyObject* type, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PyErr_FormatV(type, format, arguments);
  va_end(arguments);
  throw nb::python_error();
}

void raise_if_error(const Status& status, PyObject* not_found) {
  if (status.ok()) return;
  PyObject* type = PyExc_ValueError;
  if (status.code() == StatusCode::plan_mismatch) type = plan_mismatch.ptr();
  if (status.code() == StatusCode::unsupported) type = PyExc_NotImplementedError;
  if (status.code() == StatusCode::out_of_pages) type = out_of_pages.ptr();
  if (status.code() == StatusCode::not_found) type = not_found;
  if (status.code() == StatusCode::corrupt || status.code() == StatusCode::io_error ||
      status.code() == StatusCode::device_error) {
    type = PyExc_RuntimeError;
  }
  PyErr_SetString(type, status.message().c_str());
  throw nb::python_error();
}

void define_exceptions(nb::module_& module) {
  nb::object type = nb::steal(PyErr_NewExceptionWithDoc(
      "flash_mla.PlanMismatch",
      "A plan was used for other shapes or other lengths than it was made for: plan again. A ValueError.",
      PyExc_ValueError, nullptr));
  plan_mismatch = type;
  module.attr("PlanMismatch") = type;
  type = nb::steal(PyErr_NewExceptionWithDoc(
      "flash_mla.OutOfPages", "The page pool, or the page table's rows, cannot serve the request. A RuntimeError.",
      PyExc_RuntimeError, nullptr));
  out_of_pages = type;
  module.attr("OutOfPages") = type;
}

const char* kind_of(nb::handle object) {
  static thread_local std::string name;
  name = nb::cast<std::string>(nb::handle(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr()))).attr("__name__"));
  return name.c_str();
}

int64_t int_of(nb::handle object, const char* name) {
  if (PyBool_Check(object.ptr()) || PyFloat_Check(object.ptr())) {
    raise(PyExc_TypeError, "%s is a %s; expected an int", name, kind_of(object));
  }
  nb::object index = nb::steal(PyNumber_Index(object.ptr()));
  if (!index.is_valid()) {
    PyErr_Clear();
    raise(PyExc_TypeError, "%s is a %s; expected an int", name, kind_of(object));
  }
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) raise(PyExc_ValueError, "%s = %R; expected an int of 64 bits", name, index.ptr());
  return value;
}

double float_of(nb::handle object, const char* name) {
  if (PyBool_Check(object.ptr()) || PyUnicode_Check(object.ptr())) {
    raise(PyExc_TypeError, "%s is a %s; expected a float", name, kind_of(object));
  }
  const double value = PyFloat_AsDouble(object.ptr());
  if (value == -1.0 && PyErr_Occurred()) {
    const bool too_large = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
    PyErr_Clear();
    if (too_large) raise(PyExc_ValueError, "%s is too large for a float", name);
    raise(PyExc_TypeError, "%s is a %s; expected a float", name, kind_of(object));
  }
  return value;
}

bool bool_of(nb::handle object, const char* name) {
  if (!PyBool_Check(object.ptr())) raise(PyExc_TypeError, "%s is a %s; expected a bool", name, kind_of(object));
  return object.ptr() == Py_True;
}

std::string text_of(nb::handle object, const char* name) {
  if (!PyUnicode_Check(object.ptr())) raise(PyExc_TypeError, "%s is a %s; expected a str", name, kind_of(object));
  nb::object bytes = nb::steal(PyUnicode_AsUTF8String(object.ptr()));
  if (!bytes.is_valid()) {
    PyErr_Clear();
    raise(PyExc_ValueError, "%s is not text that UTF-8 can carry", name);
  }
  return PyBytes_AsString(bytes.ptr());
}

}  // namespace flash_mla::python
