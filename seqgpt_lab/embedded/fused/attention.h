// Attention with ALiBi over packed rows, forward and backward: [batch, tokens, heads, 64] in float32 or bfloat16, computed in float32.
//
// A packed row is a text (block 0), then questions (blocks 1, 2, ..), then pads (block -1). A question sees the text and itself, and goes on
// with the text's positions. So its keys, put behind the text's, are those of one ordinary causal sequence, in which a key's place is its
// position: no mask and no bias is ever in memory, and what a question may not see is not computed. Weights are computed anew for the
// backward pass from the logarithm of their sum, as in Dao et al. 2022 (FlashAttention).

#pragma once

#include "vectors.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

namespace {

constexpr int64_t kWidth = 64;   // of a head
constexpr int64_t kQueries = 32; // computed together: their scores over all keys stay in the cache

// C[Rows, Vectors * kLanes] = A B, or += where `add`. A's element (r, k) is A[r * row + k * step]; B and C are rows apart by their strides.
template <int Rows, int Vectors>
inline void tile(const float* A, int64_t row, int64_t step, const float* B, int64_t b_row, int64_t depth, float* C, int64_t c_row, bool add) {
  Vec sums[Rows][Vectors];
  for (int r = 0; r < Rows; r++)
    for (int v = 0; v < Vectors; v++) sums[r][v] = add ? Vec::loadu(C + r * c_row + v * kLanes) : Vec(0.f);
  for (int64_t k = 0; k < depth; k++) {
    Vec right[Vectors];
    for (int v = 0; v < Vectors; v++) right[v] = Vec::loadu(B + k * b_row + v * kLanes);
    for (int r = 0; r < Rows; r++) {
      const Vec left(A[r * row + k * step]);
      for (int v = 0; v < Vectors; v++) sums[r][v] = at::vec::fmadd(left, right[v], sums[r][v]);
    }
  }
  for (int r = 0; r < Rows; r++)
    for (int v = 0; v < Vectors; v++) sums[r][v].store(C + r * c_row + v * kLanes);
}

template <int Vectors>
inline void columns(const float* A, int64_t row, int64_t step, const float* B, int64_t b_row, int64_t depth, float* C, int64_t c_row, bool add,
                    int64_t rows) {
  int64_t r = 0;
  for (; r + 6 <= rows; r += 6) tile<6, Vectors>(A + r * row, row, step, B, b_row, depth, C + r * c_row, c_row, add);
  for (; r + 2 <= rows; r += 2) tile<2, Vectors>(A + r * row, row, step, B, b_row, depth, C + r * c_row, c_row, add);
  for (; r < rows; r++) tile<1, Vectors>(A + r * row, row, step, B, b_row, depth, C + r * c_row, c_row, add);
}

// The same for any number of rows, and a number of columns that is a multiple of kLanes.
void product(const float* A, int64_t row, int64_t step, const float* B, int64_t b_row, int64_t depth, float* C, int64_t c_row, bool add,
             int64_t rows, int64_t wide) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= wide; c += 4 * kLanes) columns<4>(A, row, step, B + c, b_row, depth, C + c, c_row, add, rows);
  for (; c < wide; c += kLanes) columns<1>(A, row, step, B + c, b_row, depth, C + c, c_row, add, rows);
}

// One head of one row of a tensor [batch, tokens, heads, 64].
template <typename T>
struct Head {
  T* start;
  int64_t stride; // from token to token

  Head(const at::Tensor& tensor, int64_t row, int64_t head)
      : start(tensor.data_ptr<T>() + row * tensor.stride(0) + head * tensor.stride(2)), stride(tensor.stride(1)) {}

  void read(int64_t first, int64_t count, float scale, float* to) const {
    for (int64_t t = 0; t < count; t++) at::vec::convert(start + (first + t) * stride, to + t * kWidth, kWidth);
    for (int64_t i = 0; i < count * kWidth; i++) to[i] *= scale;
  }

  void write(int64_t first, int64_t count, const float* from) const {
    for (int64_t t = 0; t < count; t++) at::vec::convert(from + t * kWidth, start + (first + t) * stride, kWidth);
  }
};

void transpose(const float* from, int64_t count, float* to, int64_t row) {
  for (int64_t t = 0; t < count; t++)
    for (int64_t d = 0; d < kWidth; d++) to[d * row + t] = from[t * kWidth + d];
}

// A text or a question: its tokens in the row, and how many tokens of text it sees before its own.
struct Part {
  int64_t first, count, before;
  bool text;
};

std::vector<Part> parts_of(const int64_t* blocks, int64_t tokens) {
  std::vector<Part> found;
  int64_t text = 0, at = 0;
  while (at < tokens && blocks[at] >= 0) {
    int64_t end = at;
    while (end < tokens && blocks[end] == blocks[at]) end++;
    found.push_back({at, end - at, text, blocks[at] == 0});
    if (found.back().text) text = end;
    at = end;
  }
  return found;
}

// ALiBi: slope * (key - query), a vector of neighbouring keys at a time.
struct Bias {
  float slope;
  Vec ramp;

  explicit Bias(float slope) : slope(slope) {
    float steps[kLanes];
    for (int64_t i = 0; i < kLanes; i++) steps[i] = i * slope;
    ramp = Vec::loadu(steps);
  }

  Vec operator()(int64_t key, int64_t query) const { return ramp + Vec(slope * static_cast<float>(key - query)); }
};

// Scores of one query over keys 0 .. query, in place: exp(score + bias - largest), 0 for keys up to `padded`. Returns what they sum to,
// and the largest.
std::tuple<float, float> weights_of(float* scores, int64_t query, int64_t padded, const Bias& bias) {
  const int64_t seen = query + 1, wide = whole_vectors(seen);
  std::fill(scores + seen, scores + padded, kNever);
  Vec top(kNever);
  for (int64_t key = 0; key < wide; key += kLanes) {
    const Vec score = Vec::loadu(scores + key) + bias(key, query);
    score.store(scores + key);
    top = at::vec::maximum(top, score);
  }
  const float largest = largest_of(top);
  Vec sum(0.f);
  for (int64_t key = 0; key < wide; key += kLanes) {
    const Vec weight = (Vec::loadu(scores + key) - Vec(largest)).exp_u20();
    weight.store(scores + key);
    sum = sum + weight;
  }
  std::fill(scores + seen, scores + padded, 0.f);
  return {sum_of(sum), largest};
}

// The same where the logarithm of the sum is known: weights that sum to one.
void weights_again(float* scores, int64_t query, int64_t padded, const Bias& bias, float log_sum) {
  const int64_t seen = query + 1;
  for (int64_t key = 0; key < whole_vectors(seen); key += kLanes)
    (Vec::loadu(scores + key) + bias(key, query) - Vec(log_sum)).exp_u20().store(scores + key);
  std::fill(scores + seen, scores + padded, 0.f);
}

template <typename T>
void attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& slopes, const at::Tensor& blocks,
            at::Tensor& mixed, at::Tensor& log_sums) {
  const int64_t tokens = query.size(1), heads = query.size(2), wide = whole_vectors(tokens);
  at::parallel_for(0, query.size(0) * heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> Q(tokens * kWidth), K(tokens * kWidth), KT(kWidth * wide), V(tokens * kWidth), S(kQueries * wide), O(kQueries * kWidth);
    for (int64_t task = begin; task < end; task++) {
      const int64_t row = task / heads, head = task % heads;
      const Head<T> queries(query, row, head), keys(key, row, head), values(value, row, head), out(mixed, row, head);
      const Bias bias(slopes.data_ptr<float>()[head]);
      float* sums = log_sums.data_ptr<float>() + task * tokens;
      for (const Part& part : parts_of(blocks.data_ptr<int64_t>() + row * tokens, tokens)) {
        queries.read(part.first, part.count, 1 / std::sqrt(static_cast<float>(kWidth)), Q.data());
        keys.read(part.first, part.count, 1, K.data());
        transpose(K.data(), part.count, KT.data() + part.before, wide);
        values.read(part.first, part.count, 1, V.data() + part.before * kWidth);
        for (int64_t at = 0; at < part.count; at += kQueries) {
          const int64_t count = std::min(kQueries, part.count - at), position = part.before + at, seen = position + count;
          product(Q.data() + at * kWidth, kWidth, 1, KT.data(), wide, kWidth, S.data(), wide, false, count, whole_vectors(seen));
          float inverse[kQueries];
          for (int64_t q = 0; q < count; q++) {
            const auto [sum, largest] = weights_of(S.data() + q * wide, position + q, whole_vectors(seen), bias);
            sums[part.first + at + q] = largest + std::log(sum);
            inverse[q] = 1 / sum;
          }
          product(S.data(), wide, 1, V.data(), kWidth, seen, O.data(), kWidth, false, count, kWidth);
          for (int64_t i = 0; i < count * kWidth; i++) O[i] *= inverse[i / kWidth];
          out.write(part.first + at, count, O.data());
        }
      }
    }
  });
}

// With weights P = softmax(S), mixed O = P V and its gradient dO: dV = P' dO; dS = P (dO V' - rowsum(dO O)); dQ = dS K; dK = dS' Q.
template <typename T>
void attend_back(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& slopes, const at::Tensor& blocks,
                 const at::Tensor& mixed, const at::Tensor& log_sums, const at::Tensor& gradient, const at::Tensor& of_query,
                 const at::Tensor& of_key, const at::Tensor& of_value) {
  const int64_t tokens = query.size(1), heads = query.size(2), wide = whole_vectors(tokens);
  const float scale = 1 / std::sqrt(static_cast<float>(kWidth));
  at::parallel_for(0, query.size(0) * heads, 1, [&](int64_t begin, int64_t end) {
    const int64_t size = tokens * kWidth;
    std::vector<float> Q(size), K(size), KT(kWidth * wide), V(size), VT(kWidth * wide), O(size), dO(size), dQ(size), dK(size), dV(size);
    std::vector<float> P(kQueries * wide), dS(kQueries * wide);
    for (int64_t task = begin; task < end; task++) {
      const int64_t row = task / heads, head = task % heads;
      const Head<T> queries(query, row, head), keys(key, row, head), values(value, row, head), out(mixed, row, head), above(gradient, row, head);
      const Head<T> query_out(of_query, row, head), key_out(of_key, row, head), value_out(of_value, row, head);
      const Bias bias(slopes.data_ptr<float>()[head]);
      const float* sums = log_sums.data_ptr<float>() + task * tokens;
      int64_t text = 0;
      for (const Part& part : parts_of(blocks.data_ptr<int64_t>() + row * tokens, tokens)) {
        const int64_t own = part.before * kWidth; // where this part's keys and values begin, behind the text's
        text = part.text ? part.count : text;
        queries.read(part.first, part.count, scale, Q.data());
        keys.read(part.first, part.count, 1, K.data() + own);
        values.read(part.first, part.count, 1, V.data());
        out.read(part.first, part.count, 1, O.data());
        above.read(part.first, part.count, 1, dO.data());
        transpose(K.data() + own, part.count, KT.data() + part.before, wide);
        transpose(V.data(), part.count, VT.data() + part.before, wide);
        std::fill_n(dK.data() + own, part.count * kWidth, 0.f);
        std::fill_n(dV.data() + own, part.count * kWidth, 0.f);
        for (int64_t at = 0; at < part.count; at += kQueries) {
          const int64_t count = std::min(kQueries, part.count - at), position = part.before + at, seen = position + count;
          const int64_t padded = whole_vectors(seen);
          const float *Q_at = Q.data() + at * kWidth, *O_at = O.data() + at * kWidth, *dO_at = dO.data() + at * kWidth;
          product(Q_at, kWidth, 1, KT.data(), wide, kWidth, P.data(), wide, false, count, padded);
          product(dO_at, kWidth, 1, VT.data(), wide, kWidth, dS.data(), wide, false, count, padded);
          for (int64_t q = 0; q < count; q++) {
            float* weights = P.data() + q * wide;
            weights_again(weights, position + q, padded, bias, sums[part.first + at + q]);
            Vec along(0.f);
            for (int64_t d = q * kWidth; d < (q + 1) * kWidth; d += kLanes) along = along + Vec::loadu(O_at + d) * Vec::loadu(dO_at + d);
            const Vec total(sum_of(along));
            for (int64_t k = 0; k < padded; k += kLanes) {
              float* to = dS.data() + q * wide + k;
              (Vec::loadu(weights + k) * (Vec::loadu(to) - total)).store(to);
            }
          }
          product(P.data(), 1, wide, dO_at, kWidth, count, dV.data(), kWidth, true, seen, kWidth);
          product(dS.data(), 1, wide, Q_at, kWidth, count, dK.data(), kWidth, true, seen, kWidth);
          product(dS.data(), wide, 1, K.data(), kWidth, seen, dQ.data(), kWidth, false, count, kWidth);
          for (int64_t i = 0; i < count * kWidth; i++) dQ[i] *= scale;
          query_out.write(part.first + at, count, dQ.data());
        }
        if (!part.text) { // the text's grow with every question
          key_out.write(part.first, part.count, dK.data() + own);
          value_out.write(part.first, part.count, dV.data() + own);
        }
      }
      key_out.write(0, text, dK.data());
      value_out.write(0, text, dV.data());
    }
  });
}

void check(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& slopes, const at::Tensor& blocks) {
  for (const auto& each : {query, key, value}) {
    TORCH_CHECK(each.dim() == 4 && each.size(3) == kWidth && each.stride(3) == 1, "heads of ", kWidth, " neighbouring numbers are needed, not ",
                each.sizes());
    TORCH_CHECK(each.sizes() == query.sizes() && each.scalar_type() == query.scalar_type(), "query, key and value differ: ", query.sizes(), " ",
                query.scalar_type(), ", ", each.sizes(), " ", each.scalar_type());
  }
  TORCH_CHECK(query.scalar_type() == at::kFloat || query.scalar_type() == at::kBFloat16, "float32 or bfloat16 is needed, not ", query.scalar_type());
  TORCH_CHECK(slopes.is_contiguous() && slopes.scalar_type() == at::kFloat && slopes.numel() == query.size(2), "one float32 slope a head is needed");
  TORCH_CHECK(blocks.is_contiguous() && blocks.scalar_type() == at::kLong && blocks.dim() == 2 && blocks.size(0) == query.size(0) &&
                  blocks.size(1) == query.size(1),
              "one int64 block a token is needed: ", query.sizes(), ", ", blocks.sizes());
}

std::tuple<at::Tensor, at::Tensor> attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& slopes,
                                             const at::Tensor& blocks) {
  check(query, key, value, slopes, blocks);
  auto mixed = at::zeros(query.sizes(), query.options());
  auto log_sums = at::zeros({query.size(0), query.size(2), query.size(1)}, slopes.options());
  auto run = query.scalar_type() == at::kFloat ? attend<float> : attend<at::BFloat16>;
  run(query, key, value, slopes, blocks, mixed, log_sums);
  return {mixed, log_sums};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attention_back(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                                              const at::Tensor& slopes, const at::Tensor& blocks, const at::Tensor& mixed,
                                                              const at::Tensor& log_sums, const at::Tensor& gradient) {
  check(query, key, value, slopes, blocks);
  check(mixed, gradient, gradient, slopes, blocks);
  // Side by side, as the product that made the three wants the gradients.
  const auto all = at::zeros({query.size(0), query.size(1), query.size(2), 3, kWidth}, query.options());
  const auto of_query = all.select(3, 0), of_key = all.select(3, 1), of_value = all.select(3, 2);
  auto run = query.scalar_type() == at::kFloat ? attend_back<float> : attend_back<at::BFloat16>;
  run(query, key, value, slopes, blocks, mixed, log_sums, gradient, of_query, of_key, of_value);
  return {of_query, of_key, of_value};
}

} // namespace
