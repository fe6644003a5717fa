/* What the emulator tells beyond the driver's interface. A program finds these by name in the library that it loaded as
 * its driver, and knows by their presence that it is an emulator. */
#ifndef FLASH_MLA_EMULATOR_DRIVER_REPORT_H
#define FLASH_MLA_EMULATOR_DRIVER_REPORT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of all launches so far. */
typedef struct flash_mla_emulator_totals {
  uint64_t launches;
  uint64_t warp_instructions;
  uint64_t global_load_bytes, global_store_bytes;
  uint64_t global_load_sectors, global_store_sectors;
  uint64_t bulk_load_bytes, bulk_store_bytes;
  uint64_t shared_wavefronts, shared_ideal_wavefronts;
  uint64_t tensor_macs;
  uint64_t reports;
} flash_mla_emulator_totals;

void flash_mla_emulator_counters(flash_mla_emulator_totals* totals);

/* What was wrong with the last call or launch that failed; valid until the calling thread asks again. */
const char* flash_mla_emulator_message(void);

#ifdef __cplusplus
}
#endif

#endif
