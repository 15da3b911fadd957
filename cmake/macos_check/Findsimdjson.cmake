# Nothing to find: BobbyDependencies.cmake beside this has its targets.
set(simdjson_FOUND ON)
