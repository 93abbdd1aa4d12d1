// Cross entropy over a vocabulary and its gradient, a row at a time in the cache: logits in float32 or bfloat16.

#pragma once

#include "vectors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

namespace {

template <typename T>
void score(const at::Tensor& logits, const at::Tensor& targets, at::Tensor& losses, at::Tensor& gradient) {
  const int64_t count = logits.size(0), ids = logits.size(1), wide = whole_vectors(ids);
  at::parallel_for(0, count, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> row(wide);
    for (int64_t at = begin; at < end; at++) {
      const int64_t target = targets.data_ptr<int64_t>()[at];
      at::vec::convert(logits.data_ptr<T>() + at * ids, row.data(), ids);
      std::fill(row.begin() + ids, row.end(), kNever);
      Vec top(row[0]);
      for (int64_t i = 0; i < wide; i += kLanes) top = at::vec::maximum(top, Vec::loadu(row.data() + i));
      const float largest = largest_of(top), wanted = row[target];
      Vec sums(0.f);
      for (int64_t i = 0; i < wide; i += kLanes) {
        const Vec weight = (Vec::loadu(row.data() + i) - Vec(largest)).exp_u20();
        weight.store(row.data() + i);
        sums = sums + weight;
      }
      const float sum = sum_of(sums);
      losses.data_ptr<float>()[at] = std::log(sum) + largest - wanted;
      const Vec share(1 / (sum * static_cast<float>(count)));
      for (int64_t i = 0; i < wide; i += kLanes) (Vec::loadu(row.data() + i) * share).store(row.data() + i);
      row[target] -= 1 / static_cast<float>(count);
      at::vec::convert(row.data(), gradient.data_ptr<T>() + at * ids, ids);
    }
  });
}

// logits [N, V] and targets [N] -> losses [N], the gradient [N, V] of their mean.
std::tuple<at::Tensor, at::Tensor> cross_entropy(const at::Tensor& logits, const at::Tensor& targets) {
  TORCH_CHECK(logits.dim() == 2 && logits.is_contiguous() && logits.size(1) > 0, "logits [N, V] are needed, not ", logits.sizes());
  TORCH_CHECK(targets.is_contiguous() && targets.scalar_type() == at::kLong && targets.numel() == logits.size(0), "one target a row is needed");
  TORCH_CHECK(!targets.numel() || (targets.min().item<int64_t>() >= 0 && targets.max().item<int64_t>() < logits.size(1)),
              "targets must be below ", logits.size(1));
  auto losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  auto gradient = at::empty_like(logits);
  TORCH_CHECK(logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kBFloat16, "float32 or bfloat16 is needed, not ", logits.scalar_type());
  auto run = logits.scalar_type() == at::kFloat ? score<float> : score<at::BFloat16>;
  run(logits, targets, losses, gradient);
  return {losses, gradient};
}

} // namespace
