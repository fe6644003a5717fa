/* expected: ignoring return value|unused-result */
#include <flash_mla/flash_mla.h>

int use(const flash_mla_append_args* args);
int use(const flash_mla_append_args* args) {
  flash_mla_append(args); /* wrong */
  return flash_mla_append(args) == FLASH_MLA_OK;
}
