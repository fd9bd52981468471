"""Makes the small goldens of the file readers: python3 make_files.py (needs numpy, gguf, safetensors)."""
import os
import numpy

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
os.makedirs(here, exist_ok=True)


def arrays():
    numpy.savez(
        os.path.join(here, "arrays.npz"),
        floats=numpy.arange(6, dtype=numpy.float32).reshape(2, 3) / 2,
        integers=numpy.array([-1, 1 << 40], dtype=numpy.int64),
        bytes=numpy.array([0, 127, 255], dtype=numpy.uint8),
        scalar=numpy.float64(3.25))


arrays()
