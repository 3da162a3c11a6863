import os

# Many small matrices: more than one thread makes them slower, up to a hundred times.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

collect_ignore = ["example"]  # a figure that imports as if it stood in maml_teach/widgets
