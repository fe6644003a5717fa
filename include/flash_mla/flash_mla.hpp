// The whole C++ API.
#pragma once

#include "flash_mla/append.h"
#include "flash_mla/backend.h"
#include "flash_mla/cuda.h"
#include "flash_mla/decode.h"
#include "flash_mla/executor.h"
#include "flash_mla/kv_cache.h"
#include "flash_mla/kv_cache_data.h"
#include "flash_mla/kv_format.h"
#include "flash_mla/merge.h"
#include "flash_mla/plan.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"
#include "flash_mla/version.h"
