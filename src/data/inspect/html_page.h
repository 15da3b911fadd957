#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bobby::inspection {

/// A part of a page that its head links to.
struct PageSection {
  std::string_view id;
  std::string_view name;
  std::string html;  ///< empty: the section is left out
};

/// What stands in a page of this program's style.
struct PageParts {
  std::string title;    ///< plain text
  std::string opening;  ///< HTML, before the sections
  std::vector<PageSection> sections;
  std::string_view footer;  ///< HTML
};

/// One page that needs nothing else: styles and drawings stand in it, it has no scripts and forbids
/// itself every request.
std::string html_page(const PageParts& parts);

}  // namespace bobby::inspection
