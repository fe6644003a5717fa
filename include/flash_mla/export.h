// Marks what libflash_mla exports; everything else stays hidden.
#ifndef FLASH_MLA_EXPORT_H
#define FLASH_MLA_EXPORT_H

#if defined(__GNUC__)
#define FLASH_MLA_API __attribute__((visibility("default")))
#else
#define FLASH_MLA_API
#endif

#endif
