#pragma once

#include <bobby/export.h>
#include <string_view>

namespace bobby::v1 {

/// The library's version, "0.1.0".
BOBBY_API std::string_view version();

}  // namespace bobby::v1
