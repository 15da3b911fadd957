#include "backends/mlx/activation_table.h"

#include <iterator>
#include <utility>

namespace bobby::mlx_backend {

ActivationTable::Entries::const_iterator ActivationTable::holder(const float* begin,
                                                                 std::int64_t count) const {
  auto found = entries_.upper_bound(begin);
  if (found == entries_.begin()) return entries_.end();
  --found;
  return begin + count <= found->first + found->second.count ? found : entries_.end();
}

const mx::array& ActivationTable::values_of(const Entry& entry) const {
  if (!entry.values) entry.values = compute(*entry.pending, machine_);
  return *entry.values;
}

mx::array ActivationTable::read(Activation from, const mx::Shape& shape) const {
  const std::int64_t count = from.rows * from.cols;
  const auto found = holder(from.data, count);
  if (found == entries_.end()) return mx::zeros(shape, mx::float32, machine_.stream);
  const mx::array& values = values_of(found->second);
  if (found->first == from.data && found->second.count == count)
    return values.shape() == shape ? values : mx::reshape(values, shape, machine_.stream);
  const int begin = size_of(from.data - found->first);
  const mx::array flat = mx::flatten(values, machine_.stream);
  return mx::reshape(
      mx::slice(flat, mx::Shape{begin}, mx::Shape{begin + size_of(count)}, machine_.stream), shape,
      machine_.stream);
}

void ActivationTable::write(Activation to, mx::array values) {
  const std::int64_t count = to.rows * to.cols;
  if (const auto found = holder(to.data, count);
      found != entries_.end() && found->second.count > count) {
    const auto [begin, entry] = *found;
    if (entry.step == step_ && entry.cols == to.cols) {  // some rows of what stands there
      const int offset = size_of(to.data - begin);
      mx::array whole = mx::slice_update(mx::flatten(values_of(entry), machine_.stream),
                                         mx::flatten(values, machine_.stream), mx::Shape{offset},
                                         mx::Shape{offset + size_of(count)}, machine_.stream);
      entries_.insert_or_assign(
          begin, Entry{mx::reshape(whole, entry.values->shape(), machine_.stream), entry.count,
                       entry.cols, step_});
      return;
    }
    entries_.erase(found);
  }
  put(to, Entry{std::move(values), count, to.cols, step_});
}

void ActivationTable::write(Activation to, Pending pending) {
  const std::int64_t count = to.rows * to.cols;
  if (const auto found = holder(to.data, count);
      found != entries_.end() && found->second.count > count) {
    if (found->second.step == step_ && found->second.cols == to.cols)
      return write(to, compute(pending, machine_));
    entries_.erase(found);
  }
  put(to, Entry{std::nullopt, count, to.cols, step_, std::move(pending)});
}

void ActivationTable::put(Activation to, Entry entry) {
  const auto first = entries_.lower_bound(to.data);
  const auto last = entries_.lower_bound(to.data + entry.count);
  entries_.erase(first, last);
  entries_.insert_or_assign(to.data, std::move(entry));
}

std::vector<mx::array> ActivationTable::written() const {
  std::vector<mx::array> arrays;
  for (const auto& [address, entry] : entries_)
    if (entry.step == step_ && entry.values) arrays.push_back(*entry.values);
  return arrays;
}

void ActivationTable::forget(const void* memory, std::size_t bytes) {
  const auto* begin = static_cast<const float*>(memory);
  entries_.erase(entries_.lower_bound(begin), entries_.lower_bound(begin + bytes / sizeof(float)));
}

}  // namespace bobby::mlx_backend
