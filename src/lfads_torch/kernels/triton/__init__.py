"""The recurrences and the step's other large parts as Triton kernels for CUDA. See README.md.

Modules named `device_*` hold code that Triton compiles; the others call it.
"""
