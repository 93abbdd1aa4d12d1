// What training has compiled, as torch.ops.seqgpt_lab_training.

#include "activation.h"
#include "attention.h"
#include "loss.h"

#include <torch/library.h>

TORCH_LIBRARY(seqgpt_lab_training, library) {
  library.def("attention(Tensor query, Tensor key, Tensor value, Tensor slopes, Tensor blocks) -> (Tensor, Tensor)", &attention);
  library.def(
      "attention_back(Tensor query, Tensor key, Tensor value, Tensor slopes, Tensor blocks, Tensor mixed, Tensor log_sums, Tensor gradient)"
      " -> (Tensor, Tensor, Tensor)",
      &attention_back);
  library.def("gelu(Tensor input) -> Tensor", &gelu);
  library.def("gelu_back(Tensor input, Tensor above) -> Tensor", &gelu_back);
  library.def("cross_entropy(Tensor logits, Tensor targets) -> (Tensor, Tensor)", &cross_entropy);
}
