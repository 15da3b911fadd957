#include "fidelity/compare.h"

#include <algorithm>
#include <cmath>

namespace bobby::fidelity {
namespace {

std::span<const float> row_of(LogitsRows logits, std::int64_t row, std::int64_t vocab_size) {
  return logits.subspan(static_cast<std::size_t>(row * vocab_size),
                        static_cast<std::size_t>(vocab_size));
}

/// log(sum(exp(logits))).
double log_sum(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0.0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value) - largest);
  return largest + std::log(sum);
}

std::size_t first_token(std::span<const float> logits) {
  return static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
}

ReferenceRow describe_row(std::span<const float> logits, std::size_t target) {
  const std::size_t top = first_token(logits);
  float second = -std::numeric_limits<float>::infinity();
  for (std::size_t token = 0; token < logits.size(); ++token)
    if (token != top) second = std::max(second, logits[token]);
  return {.loss = log_sum(logits) - static_cast<double>(logits[target]),
          .margin = static_cast<double>(logits[top]) - static_cast<double>(second)};
}

/// KL = sum p (log p - log q), with p of the reference.
WayRow compare_row(std::span<const float> reference, std::span<const float> logits,
                   std::size_t target) {
  const double reference_sum = log_sum(reference);
  const double sum = log_sum(logits);
  double distance = 0.0;  // of the logits, by p
  for (std::size_t token = 0; token < logits.size(); ++token) {
    const double value = reference[token];
    distance += std::exp(value - reference_sum) * (value - static_cast<double>(logits[token]));
  }
  return {.divergence = std::max(0.0, distance + sum - reference_sum),
          .loss = sum - static_cast<double>(logits[target]),
          .same_top = first_token(logits) == first_token(reference)};
}

template <typename Work>
void for_rows(ThreadPool& pool, const ComparedRows& rows, const Work& work) {
  pool.parallel_for(static_cast<std::int64_t>(rows.targets.size()), 1,
                    [&](std::int64_t begin, std::int64_t end, int) {
                      for (std::int64_t row = begin; row < end; ++row) {
                        const auto index = static_cast<std::size_t>(row);
                        work(row, rows.places[index],
                             static_cast<std::size_t>(rows.targets[index]));
                      }
                    });
}

}  // namespace

void describe_rows(ThreadPool& pool, const ComparedRows& rows, std::span<ReferenceRow> out) {
  for_rows(pool, rows, [&](std::int64_t row, std::size_t place, std::size_t target) {
    out[place] = describe_row(row_of(rows.reference, row, rows.vocab_size), target);
  });
}

void compare_rows(ThreadPool& pool, const ComparedRows& rows, LogitsRows logits,
                  std::span<WayRow> out) {
  for_rows(pool, rows, [&](std::int64_t row, std::size_t place, std::size_t target) {
    out[place] = compare_row(row_of(rows.reference, row, rows.vocab_size),
                             row_of(logits, row, rows.vocab_size), target);
  });
}

}  // namespace bobby::fidelity
