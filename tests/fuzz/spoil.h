// Tensors spoiled at random, and what a spoiled tensor is worth.
#pragma once

#include <initializer_list>

#include "bytes.h"
#include "flash_mla/tensor.h"

namespace flash_mla::fuzz {

enum class Verdict {
  unsafe,     ///< a legal view, but of memory that is not there: nobody may look at it
  malformed,  ///< breaks a rule that holds for every tensor: has to be refused
  legal,      ///< whether it fits the others is another question
};

/// `bytes` is how much memory lies behind `data`, where the view's memory begins. `rank` is what the argument has.
Verdict judge_view(const ConstTensor& view, int rank, const void* data, size_t bytes);

/// Changes one property of the view, to something of interest.
template <class Tensor>
void spoil_view(Tensor& view, Bytes& bytes);

extern template void spoil_view(ConstTensor&, Bytes&);
extern template void spoil_view(flash_mla::Tensor&, Bytes&);

}  // namespace flash_mla::fuzz
