"""Three nodes, each on a host of its own, while links, nodes and Redis fail: is anything lost without a word?"""
