#pragma once

#include <span>
#include <string_view>

namespace bobby {

/// The name of `known` that is fewest edits (insert, delete, replace a byte) away from `name`, the
/// first of equals; "" when `known` is empty. For messages: "unknown key; the nearest is ...".
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);

}  // namespace bobby
