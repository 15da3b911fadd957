# Nothing to find: BobbyDependencies.cmake beside this has its targets.
set(benchmark_FOUND ON)
