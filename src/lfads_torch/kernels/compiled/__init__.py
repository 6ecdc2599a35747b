"""The compiled backend: C++ behind a plain C interface, float32 on the CPU. See README.md."""
