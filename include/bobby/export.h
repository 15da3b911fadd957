#pragma once

/// Marks what libbobby.so shows; everything else in it is hidden.
#define BOBBY_API __attribute__((visibility("default")))
