/* Checks for the tests in C: each prints what failed and counts; main() returns check_failures(). */
#ifndef TESTS_C_API_CHECK_H
#define TESTS_C_API_CHECK_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "flash_mla/flash_mla.h"

static int failures;

static int check_failures(void) {
  if (failures != 0) fprintf(stderr, "%d checks failed\n", failures);
  return failures == 0 ? 0 : 1;
}

#define FAIL(...)                                   \
  do {                                              \
    fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
    fprintf(stderr, __VA_ARGS__);                   \
    fprintf(stderr, "\n");                          \
    ++failures;                                     \
  } while (0)

#define CHECK(condition)                      \
  do {                                        \
    if (!(condition)) FAIL("%s", #condition); \
  } while (0)

#define CHECK_EQUAL(a, b)                                                         \
  do {                                                                            \
    const long long have = (long long)(a), want = (long long)(b);                 \
    if (have != want) FAIL("%s is %lld; expected %s = %lld", #a, have, #b, want); \
  } while (0)

#define CHECK_NEAR(a, b, tolerance)                                                             \
  do {                                                                                          \
    const double have = (double)(a), want = (double)(b);                                        \
    if (!(fabs(have - want) <= (tolerance))) FAIL("%s is %.9g; expected %.9g", #a, have, want); \
  } while (0)

#define CHECK_OK(call)                                                                                   \
  do {                                                                                                   \
    const flash_mla_status outcome = (call);                                                             \
    if (outcome != FLASH_MLA_OK) FAIL("%s: status %d: %s", #call, (int)outcome, flash_mla_last_error()); \
  } while (0)

/* The call is refused with this status and a message that contains `text`. */
#define CHECK_REFUSED(call, status, text)                                           \
  do {                                                                              \
    const flash_mla_status outcome = (call);                                        \
    if (outcome != (status))                                                        \
      FAIL("%s: status %d; expected %d", #call, (int)outcome, (int)(status));       \
    else if (strstr(flash_mla_last_error(), text) == NULL)                          \
      FAIL("%s: message \"%s\" lacks \"%s\"", #call, flash_mla_last_error(), text); \
  } while (0)

#endif
