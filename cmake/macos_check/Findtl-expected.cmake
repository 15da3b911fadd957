# Nothing to find: BobbyDependencies.cmake beside this has its targets.
set(tl-expected_FOUND ON)
