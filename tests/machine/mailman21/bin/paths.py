"""So that programs find the tree that they stand in."""

import sys

sys.path.insert(0, "@PREFIX@")
sys.dont_write_bytecode = True
