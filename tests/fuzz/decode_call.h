// The arguments of a decode call, drawn and then spoiled.
#pragma once

#include <string>

#include "bytes.h"
#include "support/scene.h"

namespace flash_mla::fuzz {

/// How a call differs from a right one.
struct Spoiled {
  bool malformed = false;  ///< a tensor breaks a rule by itself, or the scale is no number: has to be refused
  bool no_out = false;     ///< which the reference takes and decode() has to refuse
  bool tensors = false;    ///< some view is not as it was
  bool contents = false;   ///< lengths, offsets or page ids are not as they were
  [[nodiscard]] bool anything() const { return malformed || no_out || tensors || contents; }
};

/// Arrays, outputs and arguments of one call; no workspace yet.
struct DecodeCall {
  test::Scene scene;
  test::Output output;
  DecodeArgs args;
  Spoiled spoiled;

  explicit DecodeCall(Bytes& bytes);
  /// The problem in words, without what was spoiled.
  [[nodiscard]] std::string describe() const;

 private:
  void spoil(Bytes& bytes);
  void spoil_contents(Bytes& bytes);
  template <class View>
  void spoil_tensor(View& view, const test::Array& array, Bytes& bytes, bool optional);
};

}  // namespace flash_mla::fuzz
