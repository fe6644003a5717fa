// A valid decode problem, drawn from a fuzzer's bytes.
#pragma once

#include "bytes.h"
#include "support/scene.h"

namespace flash_mla::fuzz {

/// Small: at most a few hundred keys. Arrays lie on the heap, to the byte.
test::SceneSpec draw_scene(Bytes& bytes);

/// Puts a few infinities and NaN into live keys and values.
void spoil_keys(test::Scene& scene, Bytes& bytes);

}  // namespace flash_mla::fuzz
