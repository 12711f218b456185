"""Inner loops over devices and sessions, compiled when they are first used and kept on disk for later runs.

Each does what a few lines of numpy say, without the arrays in between; those lines stand in its test. They
compute in whole numbers, and in float64 only what numpy rounds alike: no exponential and no reordered sum, so
that bits do not depend on the compiler.
"""
