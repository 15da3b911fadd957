# Run by bobby_embed(): bytes as string literals, since arrays of numbers take a compiler ages.
string(REPLACE "|" ";" files "${FILES}")
set(rows "")
foreach(file ${files})
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  # A literal of 64 bytes a line, each an escape of three octal digits' worth: \xNN would run on.
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1\"\"" bytes "${hex}")
  file(SIZE ${file} size)
  string(APPEND rows "    {\"${name}\", std::string_view(\"${bytes}\", ${size})},\n")
endforeach()
file(WRITE ${OUT}
"#include \"${HEADER}\"

std::span<const ${TYPE}> ${FUNCTION}() {
  static constexpr ${TYPE} kFiles[] = {
${rows}  };
  return kFiles;
}
")
