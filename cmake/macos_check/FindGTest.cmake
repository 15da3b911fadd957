# Nothing to find: BobbyDependencies.cmake beside this has its targets.
set(GTest_FOUND ON)
