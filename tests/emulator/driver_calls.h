/* What the C tests of the stand-in for the driver share: they load it by name, as programs load libcuda.so.1. */
#ifndef FLASH_MLA_TESTS_EMULATOR_DRIVER_CALLS_H
#define FLASH_MLA_TESTS_EMULATOR_DRIVER_CALLS_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                     \
    }                                                                 \
  } while (0)
#define EXPECT(expected, call)                                                                                \
  do {                                                                                                        \
    const CUresult result_of_call = (call);                                                                   \
    if (result_of_call != (expected)) {                                                                       \
      fprintf(stderr, "%s:%d: %s is %d, not %s (%s)\n", __FILE__, __LINE__, #call, result_of_call, #expected, \
              flash_mla_emulator_message_());                                                                 \
      ++failures;                                                                                             \
    }                                                                                                         \
  } while (0)

static void* driver;
/* POSIX has pointers to objects and to functions alike, ISO C does not convert one into the other. */
static void load(const char* name, void* entry, size_t size) {
  void* const found = dlsym(driver, name);
  if (found == NULL) {
    fprintf(stderr, "the driver has no %s\n", name);
    exit(1);
  }
  memcpy(entry, &found, size);
}
#define LOAD(name) load(#name, &name##_, sizeof(name##_))
#define ENTRY(result, name, ...)              \
  typedef result (*name##_type)(__VA_ARGS__); \
  static name##_type name##_

ENTRY(const char*, flash_mla_emulator_message, void);

static void open_driver(int argc, char** argv) {
  if (argc != 2 || (driver = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) == NULL) {
    fprintf(stderr, "usage: %s <driver>\n%s\n", argv[0], dlerror());
    exit(1);
  }
  LOAD(flash_mla_emulator_message);
}

#endif
