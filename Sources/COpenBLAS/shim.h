// The two system headers behind this module: CBLAS as OpenBLAS ships it, and LAPACKE.
#include <cblas.h>
#include <lapacke.h>
